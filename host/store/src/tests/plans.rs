//! Every list is a walk: the database's own plans name a range or an index, and never a table scan or a sort.

use kernex_model::bundle::{Bundle, DeviceConfig};
use kernex_model::deployment::Deployment;
use kernex_model::document::{Policy, PolicyRevision};
use kernex_model::record::Decision;
use kernex_model::user::Session;
use surrealdb::types::Variables;

use super::*;
use crate::record::Record;
use crate::walk::Walk;

async fn plan(store: &Store, text: &str, variables: Variables) -> String {
    let rows = store.rows(&format!("EXPLAIN {text}"), variables, 0).await.unwrap();
    rows.into_iter().map(|row| row.into_json_value().to_string()).collect::<Vec<_>>().join("\n")
}

async fn plan_of<T: Record>(store: &Store, walk: &Walk) -> String {
    let (text, variables, statement) = walk.query::<T>("", 100);
    // Of two statements the first walks and the second only follows its links.
    let walking = if statement == 1 {
        let (inner, _) = text.split_once("); ").unwrap();
        inner.strip_prefix("LET $ids = (").unwrap().to_owned()
    } else {
        text
    };
    plan(store, &walking, variables).await
}

#[tokio::test]
async fn lists_are_walks_over_keys_or_an_index() {
    let store = memory().await;
    let by = |column, sort| Walk::Index { column, value: "x".into(), sort };
    let indexed = [
        ("session_user", plan_of::<Session>(&store, &by("user_id", "newest_first")).await),
        ("assignment_state", plan_of::<Assignment>(&store, &by("by_state", "agenda")).await),
        ("assignment_device", plan_of::<Assignment>(&store, &by("device_id", "latest_first")).await),
        ("deployment_state", plan_of::<Deployment>(&store, &by("state", "newest_first")).await),
        ("deployment_kind", plan_of::<Deployment>(&store, &by("kind", "newest_first")).await),
        ("deployment_kind_and_state", plan_of::<Deployment>(&store, &by("kind_and_state", "newest_first")).await),
        ("deployment_progress", plan_of::<Deployment>(&store, &by("progress", "newest_first")).await),
    ];
    for (index, plan) in indexed {
        assert!(plan.contains("IndexScan") && plan.contains(index), "{index}: {plan}");
        assert!(!plan.contains("Sort") && !plan.contains("TableScan"), "{index}: {plan}");
    }
    let ranges = [
        plan_of::<Device>(&store, &Walk::Table).await,
        plan_of::<Bundle>(&store, &Walk::Table).await,
        plan_of::<DeviceConfig>(&store, &Walk::Group("x".into())).await,
        plan_of::<PolicyRevision>(&store, &Walk::Group("x".into())).await,
        plan_of::<Policy>(&store, &Walk::Table).await,
        plan_of::<Device>(&store, &Walk::Term("site=berlin".into())).await,
        plan_of::<Decision>(&store, &Walk::Term("gate=rollback".into())).await,
    ];
    for plan in ranges {
        assert!(plan.contains("DynamicScan") && !plan.contains("Sort"), "{plan}");
    }
}

#[tokio::test]
async fn a_place_in_the_decision_log_is_found_by_keys_alone() {
    let store = memory().await;
    let mut variables = Variables::new();
    variables.insert("from", String::new());
    variables.insert("to", "~".to_owned());
    variables.insert("skip", 1_000_i64);
    let plan = plan(&store, crate::decision::PLACE, variables).await;
    // The scan itself skips: an operator above it would have every record read.
    assert!(plan.contains("DynamicScan") && plan.contains("offset"), "{plan}");
    assert!(!plan.contains("Limit") && !plan.contains("Sort"), "{plan}");
}

#[tokio::test]
async fn look_ups_use_their_unique_index() {
    let store = memory().await;
    let mut variables = Variables::new();
    variables.insert("x", "x".to_owned());
    for (text, index) in [
        ("SELECT * FROM user WHERE username_folded = $x LIMIT 1", "user_username"),
        ("SELECT * FROM user WHERE email_folded = $x LIMIT 1", "user_email"),
        ("SELECT * FROM device WHERE key_digest = $x LIMIT 1", "device_key"),
        ("SELECT * FROM bundle WHERE name = $x AND version = $x LIMIT 1", "bundle_version"),
    ] {
        let plan = plan(&store, text, variables.clone()).await;
        assert!(plan.contains(index) && !plan.contains("TableScan"), "{plan}");
    }
}
