//! The devices that plans were made of: in parts, whole, and gone with their decision.

use kernex_model::id::DecisionId;
use kernex_model::kept::{KeptDevice, KeptPlan, Sample};
use kernex_model::record::{Decision, DecisionOutcome};
use surrealdb::types::Variables;

use super::*;
use crate::StoreError;

/// Devices with some 16 KiB each: about 30 of them go into a part.
fn plan(devices: u64) -> KeptPlan {
    let mut sample = Sample::new(Vec::new());
    for number in 0..devices {
        let mut device = device(number, json!({"site": format!("s{number}")}));
        let facts = (0..60).map(|fact| (format!("fact-{fact}"), json!("x".repeat(256)))).collect();
        device.facts = serde_json::from_value(serde_json::Value::Object(facts)).unwrap();
        sample.take(&device, 1, || None);
    }
    sample.finish()
}

fn planned(number: u64, plan: &KeptPlan) -> Decision {
    serde_json::from_value(json!({
        "id": DecisionId(ulid(number)), "at": at(0), "gate": "targeting", "policy": "rings",
        "plugin_digest": Digest::of(b"p"), "settings_digest": Digest::of(b"s"), "subject": deployment_id(1),
        "question": "plan", "outcome": DecisionOutcome::Planned, "code": "planned", "message": "m", "input": {},
        "output": {"plan": {}, "kept": plan.kept}, "facts_read": [], "fuel": 12, "duration_us": 3, "request_id": null,
    }))
    .unwrap()
}

async fn parts(store: &Store) -> usize {
    store.rows("SELECT VALUE id FROM plan_part", Variables::new(), 0).await.unwrap().len()
}

#[tokio::test]
async fn what_is_kept_of_a_plan_comes_back_whole_and_goes_with_its_decision() {
    let folder = tempfile::tempdir().unwrap();
    for store in [memory().await, disk(&folder).await] {
        let (large, small) = (plan(100), plan(2));
        let (first, second) = (planned(0, &large), planned(5_000, &small));
        for (decision, plan) in [(&first, &large), (&second, &small)] {
            let mut change = changes().deciding(decision);
            change.keep_plan(decision.id, plan);
            store.commit(change).await.unwrap();
        }
        assert_eq!(first.kept(), Some(large.kept.clone()), "it is known beside which decision there is anything");
        assert!(large.kept.parts > 2, "{} parts", large.kept.parts);
        assert_eq!(parts(&store).await, large.kept.parts + 1);
        let devices = store.kept_devices(first.id).await.unwrap();
        let wanted: Vec<_> = (0..100).map(device_id).collect();
        assert_eq!(devices.iter().map(|device| device.id).collect::<Vec<_>>(), wanted, "in their order");
        assert!(devices.iter().all(|device: &KeptDevice| device.facts.len() == 60 && device.class == 1));
        assert_eq!(store.kept_devices(DecisionId(ulid(7))).await.unwrap(), []);

        assert_eq!(store.prune_decisions(at(3), 100).await.unwrap(), 1);
        assert_eq!(store.kept_devices(first.id).await.unwrap(), []);
        assert_eq!(parts(&store).await, 1);
        assert_eq!(store.kept_devices(second.id).await.unwrap().len(), 2);
        // Whose parts went already, before a kill, goes like the others.
        store.query("DELETE plan_part", Variables::new()).await.unwrap();
        assert_eq!(store.prune_decisions(at(10), 100).await.unwrap(), 1);
        assert_eq!(store.decision(second.id).await.unwrap(), None);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn damage_of_what_is_kept_is_noticed() {
    let store = memory().await;
    let plan = plan(2);
    let decision = planned(1, &plan);
    let mut change = changes().deciding(&decision);
    change.keep_plan(decision.id, &plan);
    store.commit(change).await.unwrap();
    store.query("UPDATE plan_part SET content = 'AAAA'", Variables::new()).await.unwrap();
    assert!(matches!(store.kept_devices(decision.id).await, Err(StoreError::Unreadable { .. })));
}
