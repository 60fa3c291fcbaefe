//! Migrations: up and down again leaves what was there, and a ledger that does not fit is refused.

use surrealdb::types::{Value, Variables};

use super::*;
use crate::error::MigrationError;
use crate::{MigrationState, Page};

async fn empty() -> Store {
    Store::open(&"mem://".parse().unwrap(), StoreOptions::default()).await.unwrap()
}

/// Everything that the database says about its schema: `INFO FOR DB`, and for every table.
async fn schema(store: &Store) -> String {
    let database = store.rows("INFO FOR DB", Variables::new(), 0).await.unwrap().remove(0);
    let Value::Object(info) = &database else { panic!("{database:?}") };
    let Some(Value::Object(tables)) = info.get("tables") else { panic!("{info:?}") };
    let mut text = format!("{:?}", database.clone().into_json_value());
    for table in tables.keys() {
        let info = store.rows(&format!("INFO FOR TABLE {table}"), Variables::new(), 0).await.unwrap().remove(0);
        text.push_str(&format!("\n{table}: {}", info.into_json_value()));
    }
    text
}

#[tokio::test]
async fn empty_to_head_to_empty_to_head() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("rocksdb://{}", folder.path().join("store").display()).parse().unwrap();
    for store in [empty().await, Store::open(&url, StoreOptions::default()).await.unwrap()] {
        let migrations = store.migrations();
        let count = migrations.status().await.unwrap().len();
        let empty = schema(&store).await;
        assert_eq!(migrations.up().await.unwrap(), count);
        let head = schema(&store).await;
        assert!(head.contains("user_username") && head.contains("assignment_state") && head.contains("fact_terms"));
        assert_eq!(migrations.up().await.unwrap(), 0);
        assert_eq!(migrations.down(count).await.unwrap(), count);
        assert_eq!(schema(&store).await, empty);
        assert_eq!(migrations.up().await.unwrap(), count);
        assert_eq!(schema(&store).await, head);
    }
}

#[tokio::test]
async fn each_step_keeps_the_data_of_the_steps_before() {
    let store = empty().await;
    store.migrations().first(1).up().await.unwrap();
    // The audit table comes later, so the rows are seeded without a unit of work.
    let text = "INSERT INTO user { id: 'x', username: 'ada', username_folded: 'ada', email: 'a@b.c', email_folded: 'a@b.c', \
                roles: [], disabled: false, created_at: 't', updated_at: 't', revision: 1 }";
    store.query(text, Variables::new()).await.unwrap();
    let count = store.migrations().status().await.unwrap().len();
    for step in 2..=count {
        assert_eq!(store.migrations().first(step).up().await.unwrap(), 1);
    }
    assert_eq!(store.migrations().down(count - 1).await.unwrap(), count - 1);
    assert_eq!(store.rows("SELECT * FROM user", Variables::new(), 0).await.unwrap().len(), 1);
}

#[tokio::test]
async fn which_revision_decides_leaves_the_revisions_and_comes_back() {
    let store = empty().await;
    store.migrations().first(8).up().await.unwrap();
    for (name, gate, number, standing) in [
        ("rbac", "authorization", 1, "inactive"),
        ("rbac", "authorization", 2, "active"),
        ("rings", "targeting", 1, "active"),
        ("old", "rollback", 1, "inactive"),
    ] {
        let text = format!(
            "INSERT INTO policy {{ id: ['{name}', '{number}'], name: '{name}', revision: {number}, gate: '{gate}', \
             plugin: 'p', plugin_digest: 'd', settings: '{{}}', settings_digest: 'd', active: {}, created_by: 'system', \
             created_at: 't', standing: '{standing}', place: '{name}/{number}' }}",
            standing == "active",
        );
        store.query(&text, Variables::new()).await.unwrap();
    }
    let all = async |text: &str| {
        let rows = store.rows(text, Variables::new(), 0).await.unwrap();
        rows.into_iter().map(|row| row.into_json_value()).collect::<Vec<_>>()
    };
    let (before, rows) = (schema(&store).await, all("SELECT * FROM policy").await);
    assert_eq!(rows.len(), 4);

    assert_eq!(store.migrations().first(9).up().await.unwrap(), 1);
    let heads = all("SELECT name, gate, active, history, revision, updated_at FROM policy_head").await;
    let head = |name: &str, gate: &str, active: u64| json!({"name": name, "gate": gate, "active": active, "history": [], "revision": 1, "updated_at": "t"});
    assert_eq!(heads, [head("rbac", "authorization", 2), head("rings", "targeting", 1)]);
    let actions = all("SELECT VALUE actions FROM policy WHERE gate = 'authorization'").await;
    assert_eq!(actions, [json!(["*"]), json!(["*"])]);
    assert!(all("SELECT * FROM policy WHERE active != NONE OR standing != NONE OR place != NONE").await.is_empty());

    assert_eq!(store.migrations().first(9).down(1).await.unwrap(), 1);
    assert_eq!(all("SELECT * FROM policy").await, rows);
    assert_eq!(schema(&store).await, before);
}

#[tokio::test]
async fn status_tells_where_each_migration_stands() {
    let store = empty().await;
    store.migrations().first(2).up().await.unwrap();
    let states: Vec<_> = store.migrations().status().await.unwrap().into_iter().map(|status| status.state).collect();
    assert!(matches!(states[..2], [MigrationState::Applied { .. }, MigrationState::Applied { .. }]), "{states:?}");
    assert!(states[2..].iter().all(|state| *state == MigrationState::Pending));
    assert!(states.len() > 2);
}

#[tokio::test]
async fn drift_gaps_and_newer_schemas_are_refused() {
    let store = memory().await;
    let older = store.migrations().first(2);
    let database = store.migrations().status().await.unwrap().last().unwrap().version;
    assert_eq!(older.up().await, Err(MigrationError::Newer { database, program: 2 }));
    assert_eq!(older.down(1).await, Err(MigrationError::Newer { database, program: 2 }));
    assert_eq!(older.status().await.unwrap()[3].state, MigrationState::Unknown);

    store.query("DELETE migration:⟨0002⟩", Variables::new()).await.unwrap();
    assert_eq!(store.migrations().up().await, Err(MigrationError::Gap(2)));

    let store = memory().await;
    store.query("UPDATE migration:⟨0001⟩ SET checksum = 'other'", Variables::new()).await.unwrap();
    assert_eq!(store.migrations().up().await, Err(MigrationError::Drifted("0001_create_identity".into())));
    assert_eq!(store.migrations().status().await.unwrap()[0].state, MigrationState::Drifted);
    // A refusal gives the lease back: the next one need not wait.
    assert!(store.migrations().down(1).await.is_err());
    assert!(store.lease("migrations", "somebody", at(0), 1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let store = empty().await;
    store.migrations().first(1).up().await.unwrap();
    // The second migration trips over a table that is there already.
    store.query("DEFINE TABLE bundle SCHEMALESS", Variables::new()).await.unwrap();
    let before = schema(&store).await;
    let failed = store.migrations().up().await;
    assert!(matches!(&failed, Err(MigrationError::Failed { name, .. }) if name == "0002_create_fleet"), "{failed:?}");
    assert_eq!(schema(&store).await, before, "half a migration was applied");
    store.query("REMOVE TABLE bundle", Variables::new()).await.unwrap();
    let count = store.migrations().status().await.unwrap().len();
    assert_eq!(store.migrations().up().await.unwrap(), count - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hosts_at_once_do_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("rocksdb://{}", folder.path().join("store").display()).parse().unwrap();
    let store = Store::open(&url, StoreOptions::default()).await.unwrap();
    let hosts: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.migrations().up().await })
        })
        .collect();
    let mut applied = Vec::new();
    for host in hosts {
        applied.push(host.await.unwrap().unwrap());
    }
    let count = store.migrations().status().await.unwrap().len();
    assert_eq!(applied.iter().sum::<usize>(), count, "{applied:?}");
    assert!(store.list_users(&Page::first(1)).await.unwrap().items.is_empty());
}
