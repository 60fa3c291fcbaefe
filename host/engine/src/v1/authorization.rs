//! The authorization interface.

use kernex_model::policy::{self as model, Fault};
use wasmtime::Store;
use wasmtime::component::Instance;

use super::bindings::exports::kernex::policy::authorization as wit;
use super::function::{Function, Signature};
use super::output::{self, bad};
use super::types;
use crate::sandbox::Sandbox;

/// Full name of the interface.
const INTERFACE: &str = "kernex:policy/authorization@1.0.0";

struct Check;

impl Signature for Check {
    const INTERFACE: &'static str = INTERFACE;
    const NAME: &'static str = "check";
    type Params<'a> = (&'a [wit::Request<'a>],);
    type Results = (Vec<wit::Decision>,);
}

struct Scope;

impl Signature for Scope {
    const INTERFACE: &'static str = INTERFACE;
    const NAME: &'static str = "scope";
    type Params<'a> = (wit::Principal<'a>, &'a str, &'a str);
    type Results = (wit::Visible,);
}

/// Where the functions are in a component, their types checked once.
pub(crate) struct Exports {
    check: Function<Check>,
    scope: Function<Scope>,
}

impl Exports {
    pub(crate) fn find(store: &mut Store<Sandbox>, instance: &Instance) -> wasmtime::Result<Self> {
        Ok(Self { check: Function::find(store, instance)?, scope: Function::find(store, instance)? })
    }
}

/// First step for a request: its lists.
struct Lists<'a> {
    roles: Vec<&'a str>,
    principal: Vec<Vec<&'a str>>,
    resource: Vec<Vec<&'a str>>,
    context: Vec<Vec<&'a str>>,
}

/// Second step for a request: its facts.
struct Facts<'a> {
    principal: Vec<types::Fact<'a>>,
    resource: Vec<types::Fact<'a>>,
    context: Vec<types::Fact<'a>>,
}

pub(crate) fn check(
    exports: &Exports,
    store: &mut Store<Sandbox>,
    instance: &Instance,
    requests: &[model::AuthorizationRequest],
) -> wasmtime::Result<Result<Vec<model::AuthorizationDecision>, Fault>> {
    let lists: Vec<Lists<'_>> = requests.iter().map(lists).collect();
    let facts: Vec<Facts<'_>> = requests.iter().zip(&lists).map(|(it, lists)| facts(it, lists)).collect();
    let parts = requests.iter().zip(&lists).zip(&facts);
    let records: Vec<wit::Request<'_>> = parts.map(|((request, lists), facts)| record(request, lists, facts)).collect();
    let function = exports.check.of(store, instance)?;
    let (decisions,) = function.call(store, (&records,))?;
    if decisions.len() != requests.len() {
        return Ok(bad(format!("{} decisions on {} requests", decisions.len(), requests.len())));
    }
    Ok(decisions.into_iter().map(decision).collect())
}

pub(crate) fn scope(
    exports: &Exports,
    store: &mut Store<Sandbox>,
    instance: &Instance,
    principal: &model::PolicyPrincipal,
    action: &str,
    resource_kind: &str,
) -> wasmtime::Result<Result<model::Visible, Fault>> {
    let roles = super::texts(&principal.roles);
    let lists = super::text_lists(&principal.facts);
    let facts = super::facts(&principal.facts, &lists);
    let principal = self::principal(principal, &roles, &facts);
    let function = exports.scope.of(store, instance)?;
    let (visible,) = function.call(store, (principal, action, resource_kind))?;
    Ok(match visible {
        wit::Visible::All => Ok(model::Visible::All),
        wit::Visible::Matching(selector) => output::selector(selector).map(model::Visible::Matching),
        wit::Visible::Nothing(reason) => output::reason(reason).map(model::Visible::Nothing),
    })
}

fn lists(request: &model::AuthorizationRequest) -> Lists<'_> {
    Lists {
        roles: super::texts(&request.principal.roles),
        principal: super::text_lists(&request.principal.facts),
        resource: super::text_lists(&request.resource.facts),
        context: super::text_lists(&request.context),
    }
}

fn facts<'a>(request: &'a model::AuthorizationRequest, lists: &'a Lists<'a>) -> Facts<'a> {
    Facts {
        principal: super::facts(&request.principal.facts, &lists.principal),
        resource: super::facts(&request.resource.facts, &lists.resource),
        context: super::facts(&request.context, &lists.context),
    }
}

fn record<'a>(
    request: &'a model::AuthorizationRequest,
    lists: &'a Lists<'a>,
    facts: &'a Facts<'a>,
) -> wit::Request<'a> {
    wit::Request {
        principal: principal(&request.principal, &lists.roles, &facts.principal),
        action: &request.action,
        resource: wit::Resource {
            kind: &request.resource.kind,
            id: request.resource.id.as_deref(),
            facts: &facts.resource,
        },
        context: &facts.context,
    }
}

fn principal<'a>(
    principal: &'a model::PolicyPrincipal,
    roles: &'a [&'a str],
    facts: &'a [types::Fact<'a>],
) -> wit::Principal<'a> {
    let kind = match principal.kind {
        model::PrincipalKind::User => wit::PrincipalKind::User,
        model::PrincipalKind::Service => wit::PrincipalKind::Service,
        model::PrincipalKind::Device => wit::PrincipalKind::Device,
        model::PrincipalKind::Anonymous => wit::PrincipalKind::Anonymous,
    };
    wit::Principal { kind, id: &principal.id, roles, facts }
}

fn decision(decision: wit::Decision) -> Result<model::AuthorizationDecision, Fault> {
    match decision {
        wit::Decision::Allow => Ok(model::AuthorizationDecision::Allow),
        wit::Decision::Deny(reason) => output::reason(reason).map(model::AuthorizationDecision::Deny),
    }
}
