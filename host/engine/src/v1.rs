//! Version 1 of the contract: its types, and the way between them and the model's.
//!
//! What goes in is borrowed from the model, in two steps: first the lists that the model has in
//! another form (such as texts as `&str`), then the records that point into them. What comes out
//! is checked against the contract's limits.

pub(crate) mod authorization;
mod function;
pub(crate) mod lifecycle;
mod output;
pub(crate) mod rollback;
pub(crate) mod targeting;

use kernex_model::policy as model;

use crate::sandbox::Sandbox;

use bindings::kernex::policy::{facts, log, types};

mod bindings {
    wasmtime::component::bindgen!({
        inline: "
            package kernex:host;
            world every-gate {
                import kernex:policy/facts@1.0.0;
                import kernex:policy/log@1.0.0;
                export kernex:policy/lifecycle@1.0.0;
                export kernex:policy/authorization@1.0.0;
                export kernex:policy/targeting@1.0.0;
                export kernex:policy/rollback@1.0.0;
            }
        ",
        path: "../../sdk/wit/v1",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

pub(crate) use bindings::EveryGate;

impl types::Host for Sandbox {}

impl facts::Host for Sandbox {
    fn get(&mut self, name: String) -> Option<facts::Value> {
        self.read_fact(&name).map(|fact| owned(&fact.value))
    }
}

impl log::Host for Sandbox {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => model::LogLevel::Debug,
            log::Level::Info => model::LogLevel::Info,
            log::Level::Warn => model::LogLevel::Warn,
            log::Level::Error => model::LogLevel::Error,
        };
        self.log.write(level, message);
    }
}

fn owned(value: &model::Value) -> types::ValueResult {
    match value {
        model::Value::Text(text) => types::ValueResult::Text(text.clone()),
        model::Value::Integer(number) => types::ValueResult::Integer(*number),
        model::Value::Real(number) => types::ValueResult::Real(*number),
        model::Value::Boolean(truth) => types::ValueResult::Boolean(*truth),
        model::Value::Texts(texts) => types::ValueResult::Texts(texts.clone()),
    }
}

fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// First step for facts: the lists of texts among their values, in order.
fn text_lists(facts: &[model::Fact]) -> Vec<Vec<&str>> {
    facts.iter().filter_map(|fact| text_list(&fact.value)).map(texts).collect()
}

fn text_list(value: &model::Value) -> Option<&[String]> {
    match value {
        model::Value::Texts(list) => Some(list),
        model::Value::Text(_) | model::Value::Integer(_) | model::Value::Real(_) | model::Value::Boolean(_) => None,
    }
}

/// Second step for facts: records that point into the first step's lists.
fn facts<'a>(facts: &'a [model::Fact], lists: &'a [Vec<&'a str>]) -> Vec<types::Fact<'a>> {
    let mut lists = lists.iter();
    let value = |fact: &'a model::Fact| match &fact.value {
        model::Value::Text(text) => types::ValueParam::Text(text),
        model::Value::Integer(number) => types::ValueParam::Integer(*number),
        model::Value::Real(number) => types::ValueParam::Real(*number),
        model::Value::Boolean(truth) => types::ValueParam::Boolean(*truth),
        model::Value::Texts(_) => types::ValueParam::Texts(lists.next().map(Vec::as_slice).unwrap_or_default()),
    };
    facts.iter().map(value).zip(facts).map(|(value, fact)| types::Fact { name: &fact.name, value }).collect()
}
