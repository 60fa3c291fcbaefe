//! The targeting interface.

use std::collections::HashSet;

use kernex_model::policy::{self as model, Fault};
use wasmtime::Store;
use wasmtime::component::Instance;

use super::bindings::exports::kernex::policy::targeting as wit;
use super::function::{Function, Signature};
use super::output::{self, KEY_BYTES, NAME_BYTES, bad, bounded};
use super::types;
use crate::sandbox::Sandbox;

/// Full name of the interface.
const INTERFACE: &str = "kernex:policy/targeting@1.0.0";

struct Survey;

impl Signature for Survey {
    const INTERFACE: &'static str = INTERFACE;
    const NAME: &'static str = "survey";
    type Params<'a> = (wit::Deployment<'a>,);
    type Results = (Result<wit::Plan, wit::Reason>,);
}

struct Classify;

impl Signature for Classify {
    const INTERFACE: &'static str = INTERFACE;
    const NAME: &'static str = "classify";
    type Params<'a> = (wit::Deployment<'a>, wit::Batch<'a>);
    type Results = (Vec<u16>,);
}

/// Where the functions are in a component, their types checked once.
pub(crate) struct Exports {
    survey: Function<Survey>,
    classify: Function<Classify>,
}

impl Exports {
    pub(crate) fn find(store: &mut Store<Sandbox>, instance: &Instance) -> wasmtime::Result<Self> {
        Ok(Self { survey: Function::find(store, instance)?, classify: Function::find(store, instance)? })
    }
}

/// Waves of a plan.
const WAVES: usize = 64;
/// Exclusions of a plan.
const EXCLUSIONS: usize = 64;
/// Columns of a plan.
const COLUMNS: usize = 16;

pub(crate) fn survey(
    exports: &Exports,
    store: &mut Store<Sandbox>,
    instance: &Instance,
    deployment: &model::TargetingDeployment,
) -> wasmtime::Result<Result<Result<model::TargetingPlan, model::Reason>, Fault>> {
    let lists = super::text_lists(&deployment.facts);
    let facts = super::facts(&deployment.facts, &lists);
    let deployment = record(deployment, &facts);
    let function = exports.survey.of(store, instance)?;
    let (answer,) = function.call(store, (deployment,))?;
    Ok(match answer {
        Ok(found) => plan(found).map(Ok),
        Err(reason) => output::reason(reason).map(Err),
    })
}

pub(crate) fn classify(
    exports: &Exports,
    store: &mut Store<Sandbox>,
    instance: &Instance,
    deployment: &model::TargetingDeployment,
    plan: &model::TargetingPlan,
    batch: &model::Batch,
) -> wasmtime::Result<Result<Vec<u16>, Fault>> {
    let lists = super::text_lists(&deployment.facts);
    let facts = super::facts(&deployment.facts, &lists);
    let dictionary = super::texts(&batch.dictionary);
    let columns: Vec<wit::Column<'_>> = batch.columns.iter().map(column).collect();
    let deployment = record(deployment, &facts);
    let input = wit::Batch { device_hashes: &batch.device_hashes, dictionary: &dictionary, columns: &columns };
    let function = exports.classify.of(store, instance)?;
    let (classes,) = function.call(store, (deployment, input))?;
    let devices = batch.device_hashes.len();
    if classes.len() != devices {
        return Ok(bad(format!("{} classes for {devices} devices", classes.len())));
    }
    let count = plan.waves.len() + plan.exclusions.len();
    match classes.iter().find(|class| usize::from(**class) >= count) {
        Some(class) => Ok(bad(format!("class {class} of a plan that has {count}"))),
        None => Ok(Ok(classes)),
    }
}

fn record<'a>(deployment: &'a model::TargetingDeployment, facts: &'a [types::Fact<'a>]) -> wit::Deployment<'a> {
    wit::Deployment { id: &deployment.id, facts, created_at_ms: deployment.created_at_ms }
}

fn column(column: &model::Column) -> wit::Column<'_> {
    match column {
        model::Column::Texts(cells) => wit::Column::Texts(cells),
        model::Column::Integers(cells) => wit::Column::Integers(cells),
        model::Column::Reals(cells) => wit::Column::Reals(cells),
        model::Column::Booleans(cells) => wit::Column::Booleans(cells),
    }
}

fn plan(plan: wit::Plan) -> Result<model::TargetingPlan, Fault> {
    if plan.waves.is_empty() || plan.waves.len() > WAVES {
        return bad(format!("{} waves; 1 to {WAVES} are allowed", plan.waves.len()));
    }
    if plan.exclusions.len() > EXCLUSIONS {
        return bad(format!("{} exclusions; {EXCLUSIONS} are allowed", plan.exclusions.len()));
    }
    if plan.columns.len() > COLUMNS {
        return bad(format!("{} columns; {COLUMNS} are allowed", plan.columns.len()));
    }
    Ok(model::TargetingPlan {
        candidates: output::selector(plan.candidates)?,
        columns: columns(plan.columns)?,
        waves: waves(plan.waves)?,
        exclusions: plan.exclusions.into_iter().map(output::reason).collect::<Result<_, _>>()?,
    })
}

fn columns(columns: Vec<wit::ColumnRequest>) -> Result<Vec<model::ColumnRequest>, Fault> {
    let mut known = HashSet::new();
    if !columns.iter().all(|column| !column.fact.is_empty() && known.insert(column.fact.as_str())) {
        return bad("a column without a fact, or two of the same");
    }
    let column = |column: wit::ColumnRequest| {
        let column_type = match column.type_ {
            wit::ColumnType::Texts => model::ColumnType::Texts,
            wit::ColumnType::Integers => model::ColumnType::Integers,
            wit::ColumnType::Reals => model::ColumnType::Reals,
            wit::ColumnType::Booleans => model::ColumnType::Booleans,
        };
        let fact = bounded("a column's fact", column.fact, KEY_BYTES)?;
        Ok(model::ColumnRequest { fact, column_type })
    };
    columns.into_iter().map(column).collect()
}

fn waves(waves: Vec<String>) -> Result<Vec<String>, Fault> {
    let mut known = HashSet::new();
    if !waves.iter().all(|name| !name.is_empty() && known.insert(name.as_str())) {
        return bad("a wave without a name, or two of the same");
    }
    if waves.iter().skip(1).any(|name| name == model::TargetingPlan::CANARY) {
        return bad("a canary wave that is not the first");
    }
    waves.into_iter().map(|name| bounded("a wave's name", name, NAME_BYTES)).collect()
}
