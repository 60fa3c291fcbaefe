//! Owns the writers: each writes as fast as it is answered, and writes down what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kernex_tests::harness::{Answer, Client, DeviceKey, TestDevice};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::ledger::Ledger;

/// The label that is counted up.
pub(super) const LABEL: &str = "edit";
/// Bytes of a bundle after the number that it begins with.
pub(super) const BUNDLE_BYTES: usize = 20_000;
/// Pause between two enrolments: the server bounds how many may come from one address.
const ENROLMENT_PAUSE: Duration = Duration::from_millis(60);

/// What a bundle with this number contains.
pub(super) fn content(number: u64) -> Vec<u8> {
    let mut content = number.to_be_bytes().to_vec();
    content.resize(8 + BUNDLE_BYTES, u8::try_from(number % 251).expect("a byte"));
    content
}

/// What all writers write with.
#[derive(Debug, Clone)]
pub(super) struct Load {
    /// Calls as an administrator.
    pub(super) admin: Client,
    /// Where acknowledgements are written down.
    pub(super) ledger: Arc<Ledger>,
    /// Numbers bundles.
    pub(super) bundles: Arc<AtomicU64>,
}

/// The answer, unless the server is gone.
async fn answered(call: kernex_tests::harness::Call) -> Option<Answer> {
    call.send().await.ok()
}

impl Load {
    /// Starts every kind of writer; they end when the set is dropped, or the server has gone. `reporters`
    /// are devices with the command that they report on.
    pub(super) fn start(&self, label_devices: &[String], reporters: Vec<(TestDevice, Value)>) -> JoinSet<()> {
        let mut writers = JoinSet::new();
        for device in label_devices {
            writers.spawn(self.clone().edit_labels(device.clone()));
        }
        writers.spawn(self.clone().enrol());
        writers.spawn(self.clone().upload());
        for half in [0, 1] {
            let own = reporters.iter().skip(half).step_by(2).cloned().collect();
            writers.spawn(self.clone().report(own));
        }
        writers
    }

    async fn edit_labels(self, device: String) {
        let path = format!("/devices/{device}");
        loop {
            let Some(read) = answered(self.admin.get(&path)).await else { return };
            let Some(etag) = read.header("etag").map(str::to_owned) else { continue };
            let before = read["labels"][LABEL].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            let edit = json!({"labels": {LABEL: (before + 1).to_string()}});
            let Some(answer) = answered(self.admin.patch(&path).header("if-match", &etag).json(edit)).await else {
                return;
            };
            if answer.status.is_success() {
                self.ledger.note(|entries| {
                    entries.labels.insert(device.clone(), before + 1);
                });
            }
        }
    }

    async fn enrol(self) {
        loop {
            let body = json!({"public_key": DeviceKey::ed25519().public_pem(), "name": "crash test"});
            let Some(answer) = answered(self.admin.without_token().post("/devices").json(body)).await else { return };
            if answer.status.as_u16() == 201 {
                self.ledger.note(|entries| entries.devices.push(answer.id()));
            }
            tokio::time::sleep(ENROLMENT_PAUSE).await;
        }
    }

    async fn upload(self) {
        loop {
            let number = self.bundles.fetch_add(1, Ordering::Relaxed);
            let call = self.admin.post("/bundles").query("name", "crash-os").query("version", format!("1.0.{number}"));
            let Some(answer) = answered(call.text("application/octet-stream", content(number))).await else { return };
            if answer.status.as_u16() == 201 {
                self.ledger.note(|entries| entries.bundles.push((answer.id(), number)));
            }
        }
    }

    async fn report(self, reporters: Vec<(TestDevice, Value)>) {
        for (device, command) in reporters {
            for state in ["downloading", "installed"] {
                loop {
                    let Some(answer) = answered(device.report(&command, state)).await else { return };
                    if answer.status.is_success() {
                        self.ledger.note(|entries| {
                            entries.reports.insert(device.id.clone(), state);
                        });
                        break;
                    }
                    assert_eq!(answer.status.as_u16(), 503, "a report is taken in, or the server is busy\n{answer}");
                }
            }
        }
    }
}
