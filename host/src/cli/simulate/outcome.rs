//! Owns which installations fail: a function of seed, device and version, so that a run can be repeated.

use kernex_client::types::{Command, CommandKind};
use kernex_model::digest::Digest;

use super::Simulate;

/// Whether what the command asks for fails on this device, at every attempt. Going back never does.
pub(crate) fn fails(options: &Simulate, device: u32, command: &Command) -> bool {
    let Some(bundle) = command.bundle.as_ref().filter(|_| command.kind == CommandKind::Install) else { return false };
    if options.fail_version.as_ref().is_some_and(|version| version.as_str() != bundle.version) {
        return false;
    }
    let hash = Digest::of_parts(&[&options.seed.to_be_bytes(), &device.to_be_bytes(), bundle.version.as_bytes()]);
    unit(hash.prefix()) < options.fail_rate
}

/// A hash as a number in [0, 1): its upper 53 bits, as many as a double holds exactly.
fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Simulate,
    }

    fn options(arguments: &[&str]) -> Simulate {
        Line::parse_from(["simulate"].iter().chain(arguments)).options
    }

    fn command(kind: &str, version: &str) -> Command {
        serde_json::from_value(serde_json::json!({
            "kind": kind, "attempt": 1, "deployment_id": "dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D",
            "assignment_id": "asg_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D_01JD5Z8Q0V3W4X5Y6Z7A8B9C0E",
            "bundle": {
                "id": "bun_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D", "name": "os", "version": version, "size": 1,
                "sha256": Digest::of(b"x"), "download_path": "/x"
            }
        }))
        .expect("a command")
    }

    #[test]
    fn the_share_is_kept_and_repeats() {
        let options = options(&["--fail-rate", "0.3", "--fail-version", "2.0.0"]);
        let bad = command("install", "2.0.0");
        let failing: Vec<u32> = (0..10_000).filter(|device| fails(&options, *device, &bad)).collect();
        assert!((2_800..3_200).contains(&failing.len()), "{}", failing.len());
        assert!(failing.iter().all(|device| fails(&options, *device, &bad)));
        assert!((0..10_000).all(|device| !fails(&options, device, &command("install", "1.0.0"))));
        assert!((0..10_000).all(|device| !fails(&options, device, &command("rollback", "2.0.0"))));
    }

    #[test]
    fn nobody_and_everybody() {
        let command = command("install", "1.0.0");
        assert!((0..1_000).all(|device| !fails(&options(&[]), device, &command)));
        assert!((0..1_000).all(|device| fails(&options(&["--fail-rate", "1"]), device, &command)));
    }
}
