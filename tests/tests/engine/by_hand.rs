//! Components that are written by hand: what a compiler would not make of any source.

use std::fmt::Write as _;

use kernex_model::policy::Gate;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, WorldItem};

const CONTRACT: &str = include_str!("../../../sdk/wit/v1/policy.wit");

/// Where the guest's manifest lies in its memory, and where nothing but zeros does: a `configure` that went well.
pub(super) const MANIFEST: usize = 8_192;
pub(super) const ZEROS: usize = 12_288;

/// What `describe` gives.
fn manifest() -> Vec<u8> {
    let texts = ["random", "1.0.0", "Answers anything", "{}"];
    let mut place = MANIFEST + 8 * texts.len();
    let mut bytes = Vec::new();
    for text in texts {
        for number in [place, text.len()] {
            bytes.extend(u32::try_from(number).unwrap().to_le_bytes());
        }
        place += text.len();
    }
    bytes.extend(texts.concat().into_bytes());
    bytes
}

fn name(kind: WasmType) -> &'static str {
    match kind {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}

/// A plugin for a gate: a module of these fields, and for each function what it gives, most often a pointer. Fields that
/// are not there are a memory called `memory` and `cabi_realloc`, if anything is to be answered or asked.
pub(super) fn plugin(gate: Gate, fields: &str, answer: impl Fn(&str) -> String) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", CONTRACT).unwrap();
    let world = resolve.select_world(&[package], Some(&format!("{}-policy", gate.as_str()))).unwrap();
    let mut text = format!("(module {fields}");
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else { panic!("the contract exports interfaces") };
        let interface = resolve.name_world_key(key);
        for (function, described) in &resolve.interfaces[*id].functions {
            let params = resolve.wasm_signature(AbiVariant::GuestExport, described).params;
            let params: Vec<&str> = params.into_iter().map(name).collect();
            let (params, answer) = (params.join(" "), answer(function));
            write!(text, "(func (export \"{interface}#{function}\") (param {params}) (result i32) {answer})").unwrap();
        }
    }
    let bytes: String = manifest().iter().map(|byte| format!("\\{byte:02x}")).collect();
    write!(text, "(data (i32.const {MANIFEST}) \"{bytes}\"))").unwrap();
    let mut module = wat::parse_str(text).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}
