//! Owns the life of one simulated device: enrol, wait for admission, then beat and obey.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use kernex_client::types::{Device as Enrolled, DeviceStatus, Health, Heartbeat, HeartbeatFactsValue};
use reqwest::StatusCode;

use super::protocol::{self, Session};
use super::tally::Phase;
use super::{World, about, admission, work};
use crate::cli::ApiError;

/// How often a device that waits for admission asks again.
const ADMISSION_POLL_S: f64 = 5.0;
/// How long a device waits after something did not work, in seconds.
const RECOVERY_S: f64 = 5.0;
/// The shortest time between two heartbeats, in seconds.
const SHORTEST_POLL_S: f64 = 0.05;

/// One device while it lives. What must outlive it is in the roster.
pub(crate) struct Device<'w> {
    /// What it shares with the others.
    pub(crate) world: &'w World,
    /// Which one it is.
    pub(crate) number: u32,
    key: SigningKey,
    phase: Phase,
    /// Whether the server has been told its facts.
    facts_told: bool,
}

/// Lives until it is dropped.
pub(crate) async fn live(world: &World, number: u32) {
    let memory = world.roster.recall(number);
    let key = match memory.key() {
        Ok(key) => key,
        Err(error) => return world.tally.trouble(format!("device {number} has no key: {error}")),
    };
    world.tally.runs(None, Some(memory.running.as_ref().map_or("nothing", |running| running.version.as_str())));
    let mut device = Device { world, number, key, phase: Phase::Waiting, facts_told: false };
    // A device that was here before goes on; only where its token is refused it enrols again.
    let mut known = memory.id;
    loop {
        let id = match known.take() {
            Some(id) => id,
            None => device.admitted().await,
        };
        let lost = device.serve(&id).await;
        world.tally.trouble(lost.to_string());
        device.enter(Phase::Waiting);
        tokio::time::sleep(about(RECOVERY_S)).await;
    }
}

impl Device<'_> {
    /// Now does something else.
    pub(crate) fn enter(&mut self, phase: Phase) {
        if phase != self.phase {
            self.world.tally.shift(self.phase, phase);
            self.phase = phase;
        }
    }

    /// Enrols and waits until the device is active. Enrolling again is how it asks: the same key gives
    /// the same device.
    async fn admitted(&mut self) -> String {
        loop {
            let wait = match self.enrol().await {
                Ok(enrolled) => {
                    self.world.roster.remember(self.number, |memory| memory.become_device(&enrolled.id));
                    if enrolled.status == DeviceStatus::Active {
                        return enrolled.id;
                    }
                    ADMISSION_POLL_S
                }
                Err(error) => {
                    self.world.tally.trouble(format!("enrolment: {error}"));
                    RECOVERY_S
                }
            };
            tokio::time::sleep(about(wait)).await;
        }
    }

    async fn enrol(&self) -> Result<Enrolled, ApiError> {
        match admission::preauthorize(self.world, self.number).await? {
            Some(admitted) => Ok(admitted),
            None => protocol::enrol(self.world, self.number, &self.key).await,
        }
    }

    /// Beats and obeys, for as long as the server knows the device.
    async fn serve(&mut self, id: &str) -> ApiError {
        let mut session: Option<Session> = None;
        loop {
            let good = match session.take().filter(Session::is_fresh) {
                Some(good) => good,
                None => match protocol::log_in(self.world, id, &self.key).await {
                    Ok(fresh) => fresh,
                    Err(error) => return error,
                },
            };
            self.enter(Phase::Idle);
            let wait = match self.beat(&good).await {
                Ok(wait) => {
                    session = Some(good);
                    wait
                }
                // The next round asks for a new token; where that fails the device enrols again.
                Err(error) if error.is(StatusCode::UNAUTHORIZED) => about(1.0),
                Err(error) => {
                    self.world.tally.trouble(error.to_string());
                    session = Some(good);
                    about(RECOVERY_S)
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// One heartbeat and what it asks for; gives the time until the next.
    async fn beat(&mut self, session: &Session) -> Result<Duration, ApiError> {
        let memory = self.world.roster.recall(self.number);
        let facts = || {
            protocol::facts(self.number).map(|(name, text)| (name.to_owned(), HeartbeatFactsValue::String(text))).into()
        };
        let beat = Heartbeat {
            facts: (!self.facts_told).then(facts),
            bundle_id: memory.running.as_ref().map(|running| running.id.clone()),
            config_version: memory.config_version,
            health: Some(Health::Healthy),
        };
        let reply = session.heartbeat(self.world, &beat).await?;
        self.facts_told = true;
        self.world.tally.heartbeats.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut obeyed = false;
        for command in &reply.commands {
            obeyed |= work::obey(self, session, command).await?;
        }
        self.enter(Phase::Idle);
        // What has changed is told at once, not a whole poll later.
        let next = if obeyed { SHORTEST_POLL_S } else { self.world.options.poll.unwrap_or(reply.next_poll_s.into()) };
        Ok(about(next.max(SHORTEST_POLL_S)))
    }
}
