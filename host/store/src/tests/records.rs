//! The audit trail, the decision log, the policies and their plugins: in order, through every filter, exactly as written.

use kernex_model::document::{Policy, PolicyRevision};
use kernex_model::id::DecisionId;
use kernex_model::plugin::Plugin;
use kernex_model::policy::{LogLevel, LogLine};
use kernex_model::record::{Decision, DecisionGate, DecisionOutcome};
use serde_json::json;
use surrealdb::types::Variables;

use super::*;
use crate::{AuditFilter, CommitError, DecisionFilter, Page, StoreError};

fn decision(number: u64, subject: &str, outcome: DecisionOutcome) -> Decision {
    serde_json::from_value(json!({
        "id": DecisionId(ulid(number)), "at": at(0), "gate": "authorization", "policy": "rbac",
        "plugin_digest": Digest::of(b"p"), "settings_digest": Digest::of(b"s"), "subject": subject,
        "question": "device:read", "outcome": outcome, "code": "c", "message": "m",
        "input": {"n": u64::MAX, "hash": [18446744073709551615_u64]}, "output": null, "facts_read": [],
        "fuel": 12, "duration_us": 3, "request_id": null,
    }))
    .unwrap()
}

async fn decisions(store: &Store, filter: DecisionFilter<'_>) -> Vec<DecisionId> {
    let (mut page, mut read) = (Page::first(3), Vec::new());
    loop {
        let listed = store.list_decisions(filter, &page).await.unwrap();
        read.extend(listed.items.into_iter().map(|decision| decision.id));
        let Some(next) = listed.next else { return read };
        page.after = Some(next);
    }
}

#[tokio::test]
async fn decisions_are_found_through_every_filter() {
    let store = memory().await;
    let mut all = Vec::new();
    for number in 0..20 {
        let outcome = if number % 4 == 0 { DecisionOutcome::Deny } else { DecisionOutcome::Allow };
        all.push(decision(number, if number % 5 == 0 { "ada" } else { "bea" }, outcome));
    }
    store.append_decisions(&all).await.unwrap();
    store.append_decisions(&all).await.unwrap();
    store.append_decisions(&[]).await.unwrap();
    assert_eq!(store.decision(all[3].id).await.unwrap().as_ref(), Some(&all[3]));

    let policy = "rbac".parse().unwrap();
    let filters = [
        DecisionFilter::default(),
        DecisionFilter { gate: Some(DecisionGate::Authorization), ..Default::default() },
        DecisionFilter { gate: Some(DecisionGate::Rollback), ..Default::default() },
        DecisionFilter { policy: Some(&policy), outcome: Some(DecisionOutcome::Deny), ..Default::default() },
        DecisionFilter { subject: Some("ada"), ..Default::default() },
        DecisionFilter { subject: Some("ada"), outcome: Some(DecisionOutcome::Deny), ..Default::default() },
        DecisionFilter { subject: Some("nobody"), ..Default::default() },
    ];
    for filter in filters {
        let wanted: Vec<_> = all
            .iter()
            .rev()
            .filter(|d| {
                filter.gate.is_none_or(|gate| d.gate == gate)
                    && filter.subject.is_none_or(|subject| d.subject == subject)
                    && filter.outcome.is_none_or(|outcome| d.outcome == outcome)
            })
            .map(|d| d.id)
            .collect();
        assert_eq!(decisions(&store, filter).await, wanted, "{filter:?}");
    }
}

#[tokio::test]
async fn old_decisions_are_pruned_with_their_terms() {
    let store = memory().await;
    let all: Vec<_> = (0..10).map(|n| decision(n * 1_000, "ada", DecisionOutcome::Allow)).collect();
    store.append_decisions(&all).await.unwrap();
    assert_eq!(store.prune_decisions(at(6), 4).await.unwrap(), 4);
    assert_eq!(store.prune_decisions(at(6), 100).await.unwrap(), 2);
    assert_eq!(store.prune_decisions(at(6), 100).await.unwrap(), 0);
    let left: Vec<_> = all[6..].iter().rev().map(|d| d.id).collect();
    assert_eq!(decisions(&store, DecisionFilter::default()).await, left);
    let terms = store.rows("SELECT VALUE id FROM decision_term", Variables::new(), 0).await.unwrap();
    assert_eq!(terms.len(), left.len() * 4);
}

#[tokio::test]
async fn the_oldest_decisions_go_where_there_are_too_many() {
    let folder = tempfile::tempdir().unwrap();
    for store in [memory().await, disk(&folder).await] {
        assert_eq!(store.decision_place("", 1).await.unwrap(), None);
        let all: Vec<_> = (0..10).map(|n| decision(n, "ada", DecisionOutcome::Allow)).collect();
        store.append_decisions(&all).await.unwrap();
        assert_eq!(store.decision_place("", 11).await.unwrap(), None, "there are not so many");
        let oldest = store.decision_place("", 10).await.unwrap().unwrap();
        assert_eq!(store.prune_decisions_behind(&oldest, 100).await.unwrap(), None);
        assert_eq!(decisions(&store, DecisionFilter::default()).await.len(), 10, "exactly as many as are kept");

        // Looked for in pieces, removed in steps.
        let third = store.decision_place("", 3).await.unwrap().unwrap();
        let mut behind = store.decision_place(&third, 1).await.unwrap();
        assert_eq!(behind, store.decision_place("", 4).await.unwrap());
        let mut steps = 0;
        while let Some(place) = behind {
            behind = store.prune_decisions_behind(&place, 4).await.unwrap();
            steps += 1;
        }
        assert_eq!(steps, 2, "six in steps of four");
        let left: Vec<_> = all[6..].iter().rev().map(|d| d.id).collect();
        assert_eq!(decisions(&store, DecisionFilter::default()).await, left);
        let terms = store.rows("SELECT VALUE id FROM decision_term", Variables::new(), 0).await.unwrap();
        assert_eq!(terms.len(), left.len() * 4);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_period_is_read_of_one_policy_and_about_one_subject() {
    let store = memory().await;
    let subject = |n: u64| if n.is_multiple_of(2) { "ada" } else { "bea" };
    let of = |n: u64| {
        let second = u64::try_from(at(0).as_millis()).unwrap() + n * 1_000;
        let id = DecisionId(Ulid::from_parts(second, 7));
        Decision { id, ..decision(n, subject(n), DecisionOutcome::Allow) }
    };
    let mut all: Vec<_> = (0..10).map(of).collect();
    all[4].policy = "other".parse().unwrap();
    store.append_decisions(&all).await.unwrap();
    let name = "rbac".parse().unwrap();
    // Whoever decided about a subject: which policy did stands in the decision alone.
    for (about, period, wanted) in [
        (Some("ada"), (at(0), at(60)), vec![8, 6, 4, 2, 0]),
        (None, (at(0), at(60)), vec![9, 8, 7, 6, 5, 3, 2, 1, 0]),
        (None, (at(2), at(8)), vec![7, 6, 5, 3, 2]),
        (None, (at(3), at(3)), vec![]),
    ] {
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let found = store.decision_ids_between(&name, about, period, after, 2).await.unwrap();
            after = found.last().copied();
            if after.is_none() {
                break;
            }
            read.extend(found);
        }
        let wanted: Vec<DecisionId> = wanted.into_iter().map(|n: usize| all[n].id).collect();
        assert_eq!(read, wanted, "{about:?} {period:?}");
        let decisions = store.decisions_by_id(&read).await.unwrap();
        assert_eq!(decisions.into_iter().map(|decision| decision.id).collect::<Vec<_>>(), wanted);
    }
}

/// Migrations before those that know redaction, logs and traces.
const BEFORE_REDACTION: u32 = 12;

#[tokio::test]
async fn decisions_from_before_redaction_logs_and_traces_are_read() {
    let store = memory().await;
    let before = decision(1, "ada", DecisionOutcome::Deny);
    let line = |level, message: &str| LogLine { level, message: message.to_owned() };
    let kept = Decision {
        redacted: true,
        log: vec![line(LogLevel::Debug, "one\ntwo"), line(LogLevel::Error, "")],
        log_truncated: true,
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".parse().unwrap()),
        ..before.clone()
    };
    store.append_decisions(std::slice::from_ref(&kept)).await.unwrap();
    assert_eq!(store.decision(kept.id).await.unwrap(), Some(kept.clone()));
    let migrations = store.migrations();
    let later = migrations.status().await.unwrap().iter().filter(|status| status.version > BEFORE_REDACTION).count();
    assert_eq!(migrations.down(later).await.unwrap(), later);
    assert_eq!(migrations.up().await.unwrap(), later);
    assert_eq!(store.decision(kept.id).await.unwrap(), Some(before));
}

#[tokio::test]
async fn a_change_carries_its_audit_record_and_decision() {
    let store = memory().await;
    let ada = Principal::User(kernex_model::id::UserId(ulid(1)));
    let (first, second) = (audit_by(ada, Some("dev_1")), audit_by(Principal::System, Some("dev_2")));
    let why = decision(1, "ada", DecisionOutcome::Allow);
    store.commit(Changes::new(&first).deciding(&why)).await.unwrap();
    store.commit(Changes::grouped(&[second.clone(), audit_by(ada, None)])).await.unwrap();
    assert_eq!(store.decision(why.id).await.unwrap(), Some(why));

    let list = async |filter| store.list_audit(filter, &Page::first(10)).await.unwrap().items;
    assert_eq!(list(AuditFilter::default()).await.len(), 3);
    assert_eq!(list(AuditFilter { principal: Some(ada), ..Default::default() }).await.len(), 2);
    assert_eq!(list(AuditFilter { resource_kind: Some("device"), ..Default::default() }).await.len(), 3);
    assert_eq!(list(AuditFilter { resource_kind: Some("user"), ..Default::default() }).await.len(), 0);
    assert_eq!(list(AuditFilter { resource_id: Some("dev_2"), ..Default::default() }).await, [second]);
    let both = AuditFilter { principal: Some(ada), resource_id: Some("dev_1"), ..Default::default() };
    assert_eq!(list(both).await, [first]);
    let neither = AuditFilter { principal: Some(Principal::System), resource_id: Some("dev_1"), ..Default::default() };
    assert_eq!(list(neither).await, []);
}

fn revision(name: &str, revision: u64) -> PolicyRevision {
    serde_json::from_value(json!({
        "name": name, "revision": revision, "gate": "authorization", "plugin": "rbac", "plugin_digest": Digest::of(b"p"),
        "settings": {"max": u64::MAX}, "settings_digest": Digest::of(b"s"), "instances": "reused",
        "actions": ["device:*", "*"], "created_by": "system", "created_at": at(0),
    }))
    .unwrap()
}

#[tokio::test]
async fn revisions_are_listed_newest_first() {
    let store = memory().await;
    let mut written = changes();
    for number in 1..=12 {
        written.create(&revision("rbac", number));
    }
    // Its keys stand beside those of the other.
    written.create(&revision("rbac-2", 1));
    store.commit(written).await.unwrap();
    let name = "rbac".parse().unwrap();
    let (mut page, mut read) = (Page::first(5), Vec::new());
    loop {
        let listed = store.list_policy_revisions(&name, &page).await.unwrap();
        read.extend(listed.items);
        let Some(next) = listed.next else { break };
        page.after = Some(next);
    }
    assert_eq!(read, (1..=12).rev().map(|number| revision("rbac", number)).collect::<Vec<_>>());
    assert_eq!(store.newest_policy_revision(&name).await.unwrap(), 12);
    assert_eq!(store.newest_policy_revision(&"none".parse().unwrap()).await.unwrap(), 0);
    assert_eq!(store.policy_revision(&name, 3).await.unwrap(), Some(revision("rbac", 3)));
    assert_eq!(store.policy_revision(&name, 13).await.unwrap(), None);
    let mut again = changes();
    again.create(&revision("rbac", 12));
    assert_eq!(store.commit(again).await, Err(CommitError::Exists { index: "policy" }));
}

#[tokio::test]
async fn policies_are_changed_on_the_revision_that_was_read() {
    let store = memory().await;
    let policy = |name: &str| Policy::new(name.parse().unwrap(), DecisionGate::Authorization, at(0));
    let mut made = changes();
    made.create(&policy("rings")).create(&policy("rbac"));
    store.commit(made).await.unwrap();
    let mut read = store.policy(&"rbac".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(read, policy("rbac"));
    read.activate(1, at(1));
    read.activate(2, at(2));
    let commit = async |policy: &Policy| {
        let mut change = changes();
        change.update(policy);
        store.commit(change).await
    };
    commit(&read).await.unwrap();
    let stored = Policy { revision: 2, ..read.clone() };
    assert_eq!(store.policies().await.unwrap(), [stored, policy("rings")]);
    assert!(matches!(commit(&read).await, Err(CommitError::Conflict { .. })), "it has moved on");
    let mut again = changes();
    again.create(&policy("rings"));
    assert_eq!(store.commit(again).await, Err(CommitError::Exists { index: "policy_head" }));
}

#[tokio::test]
async fn a_plugin_comes_back_whole_and_damage_is_noticed() {
    let store = memory().await;
    // Two whole parts and a bit, no two of them alike.
    let bytes: Vec<u8> = (0_u32..).flat_map(u32::to_be_bytes).take(2 * 512 * 1024 + 7).collect();
    let digest = Digest::of(&bytes);
    let plugin: Plugin = serde_json::from_value(json!({
        "digest": digest, "name": "mine", "version": "1.0.0", "summary": "s", "gates": ["targeting"], "imports": ["i"],
        "settings_schema": {"maximum": u64::MAX}, "size": bytes.len(), "bundled": false, "signed_by": "0123456789abcdef",
        "created_by": "system", "created_at": at(0),
    }))
    .unwrap();
    assert_eq!(store.plugin_bytes(digest).await.unwrap(), None);
    for _ in 0..2 {
        // The second time it is there already, and stays.
        let mut upload = changes();
        upload.add_plugin(&plugin, &bytes);
        store.commit(upload).await.unwrap();
    }
    let mut late = changes();
    late.create_plugin(&Plugin { name: "another's".to_owned(), ..plugin.clone() }, &bytes);
    assert_eq!(store.commit(late).await, Err(CommitError::Exists { index: "plugin" }));
    assert_eq!(store.plugin(digest).await.unwrap().as_ref(), Some(&plugin));
    assert_eq!(store.plugins().await.unwrap(), [plugin]);
    assert!(store.plugin_bytes(digest).await.unwrap() == Some(bytes), "the bytes are others");

    let part = format!("type::record('plugin_part', ['{digest}', '0001'])");
    store.query(&format!("UPDATE {part} SET content = 'AAAA'"), Variables::new()).await.unwrap();
    assert!(matches!(store.plugin_bytes(digest).await, Err(StoreError::Unreadable { .. })), "a part is another");
    store.query(&format!("DELETE {part}"), Variables::new()).await.unwrap();
    assert!(matches!(store.plugin_bytes(digest).await, Err(StoreError::Unreadable { .. })), "a part is missing");
}
