//! Units of work: all or nothing, on the revision that was read, tried again where they collide.

use std::sync::Arc;

use kernex_model::user::User;
use surrealdb::types::Variables;

use super::*;
use crate::call::CallKind;
use crate::error::Failure;
use crate::{AuditFilter, CommitError, Page, StoreError};

async fn audits(store: &Store) -> usize {
    store.list_audit(AuditFilter::default(), &Page::first(1_000)).await.unwrap().items.len()
}

#[tokio::test]
async fn one_failing_statement_leaves_nothing_behind() {
    let store = memory().await;
    let mut first = changes();
    first.create(&user(1, "ada", "ada@example.org"));
    store.commit(first).await.unwrap();
    let before = audits(&store).await;

    let mut second = changes();
    second.create(&device(1, serde_json::json!({"site": "berlin"})));
    second.create(&user(2, "bea", "bea@example.org"));
    second.create(&user(3, "ADA", "cea@example.org"));
    assert_eq!(store.commit(second).await, Err(CommitError::Exists { index: "user_username" }));
    assert_eq!(store.device(device_id(1)).await.unwrap(), None);
    assert_eq!(store.user_by_login("bea").await.unwrap(), None);
    assert_eq!(audits(&store).await, before, "the audit record of what did not happen was written");
    let terms = store.rows("SELECT * FROM device_term", Variables::new(), 0).await.unwrap();
    assert!(terms.is_empty());
}

#[tokio::test]
async fn a_revision_that_moved_is_a_conflict() {
    let store = memory().await;
    let ada = user(1, "ada", "ada@example.org");
    let mut make = changes();
    make.create(&ada);
    store.commit(make).await.unwrap();

    let disabled = User { disabled: true, ..ada.clone() };
    let mut update = changes();
    update.update(&disabled);
    store.commit(update).await.unwrap();
    assert_eq!(store.user(ada.id).await.unwrap(), Some(User { revision: 2, ..disabled.clone() }));

    let before = audits(&store).await;
    let mut stale = changes();
    stale.update(&ada);
    let Err(CommitError::Conflict { what }) = store.commit(stale).await else { panic!("a stale write went through") };
    assert!(what.contains(&ada.id.0.to_string()), "{what}");
    let mut missing = changes();
    missing.update(&user(9, "bea", "bea@example.org"));
    assert!(matches!(store.commit(missing).await, Err(CommitError::Conflict { .. })));
    assert_eq!(audits(&store).await, before);
    assert_eq!(store.user(ada.id).await.unwrap(), Some(User { revision: 2, ..disabled }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_32_racers_on_one_revision_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    for store in [memory().await, disk(&folder).await] {
        let ada = user(1, "ada", "ada@example.org");
        let mut make = changes();
        make.create(&ada);
        store.commit(make).await.unwrap();
        let barrier = Arc::new(tokio::sync::Barrier::new(32));
        let racers: Vec<_> = (0..32)
            .map(|_| {
                let (store, ada, barrier) = (store.clone(), ada.clone(), Arc::clone(&barrier));
                tokio::spawn(async move {
                    let mut changes = changes();
                    changes.update(&ada);
                    barrier.wait().await;
                    store.commit(changes).await
                })
            })
            .collect();
        let mut won = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Ok(()) => won += 1,
                Err(CommitError::Conflict { .. } | CommitError::Busy) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(won, 1);
        assert_eq!(store.user(ada.id).await.unwrap().unwrap().revision, 2);
        assert_eq!(audits(&store).await, 2, "one audit record for making, one for the change that won");
    }
}

/// Without the retry most of these would fail, see the first half; with it every one of them counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_real_collision_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = disk(&folder).await;
    let text = "BEGIN; LET $n = (SELECT VALUE epoch FROM ONLY lease:counter) ?? 0; SLEEP 5ms; \
                UPSERT lease:counter SET owner = 'x', expires_ms = 0, epoch = $n + 1; COMMIT;";
    let run = |retry: bool| {
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    if retry {
                        store.retried(text, Variables::new()).await
                    } else {
                        store.try_query(CallKind::Write, text, Variables::new()).await
                    }
                    .map(drop)
                })
            })
            .collect();
        async move {
            let mut outcomes = Vec::new();
            for task in tasks {
                outcomes.push(task.await.unwrap());
            }
            outcomes
        }
    };
    let plain = run(false).await;
    assert!(plain.contains(&Err(Failure::Collided)), "nothing collided: {plain:?}");
    let before = plain.iter().filter(|outcome| outcome.is_ok()).count();
    let retried = run(true).await;
    assert!(retried.iter().all(Result::is_ok), "{retried:?}");
    let rows = store.rows("SELECT VALUE epoch FROM ONLY lease:counter", Variables::new(), 0).await.unwrap();
    assert_eq!(rows[0].clone().into_json_value(), serde_json::json!(before + retried.len()));
}

#[tokio::test]
async fn a_unit_of_work_has_a_limit_and_an_audit_record() {
    let store = memory().await;
    let mut changes = changes();
    for number in 0..crate::MAX_RECORDS as u64 {
        changes.put(&user(number, "ada", "ada@example.org"));
    }
    assert!(matches!(store.commit(changes).await, Err(CommitError::Failed(StoreError::TooMany { .. }))));
    assert!(store.commit(Changes::grouped(&[])).await.is_err());
    assert_eq!(audits(&store).await, 0);
    assert!(Changes::new(&audit()).is_empty());
}

#[tokio::test]
async fn every_query_has_a_time_limit() {
    let options = StoreOptions { query_timeout: std::time::Duration::from_millis(50), ..StoreOptions::default() };
    let store = Store::open(&"mem://".parse().unwrap(), options).await.unwrap();
    assert_eq!(store.query("SLEEP 5s", Variables::new()).await.map(drop), Err(StoreError::TimedOut { limit_ms: 50 }));
    store.ping().await.unwrap();
}

#[tokio::test]
async fn what_is_expected_of_a_record_is_looked_at_and_not_changed() {
    let store = memory().await;
    let ada = user(1, "ada", "ada@example.org");
    let mut make = changes();
    make.create(&ada);
    store.commit(make).await.unwrap();

    let mut expecting = changes();
    expecting.expect(&ada);
    assert!(expecting.is_empty(), "it writes nothing");
    expecting.create(&user(2, "bea", "bea@example.org"));
    store.commit(expecting).await.unwrap();
    assert_eq!(store.user(ada.id).await.unwrap(), Some(ada.clone()));

    let before = audits(&store).await;
    let moved = User { revision: 2, ..ada.clone() };
    let missing = user(9, "eve", "eve@example.org");
    for (expected, name) in [(&moved, "cea"), (&missing, "dea")] {
        let mut refused = changes();
        refused.expect(expected);
        refused.create(&user(3, name, &format!("{name}@example.org")));
        let Err(CommitError::Conflict { what }) = store.commit(refused).await else { panic!("{name} was made") };
        assert!(what.contains(&expected.id.0.to_string()), "{what}");
        assert_eq!(store.user_by_login(name).await.unwrap(), None);
    }
    assert_eq!(audits(&store).await, before);
}
