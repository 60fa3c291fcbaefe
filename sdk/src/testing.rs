//! For native unit tests of a plugin: questions that are ordinary wherever a test does not care, what there is to look
//! up, and batches of devices as the host makes them.
//!
//! What a test does care about is written with Rust's own `..`:
//!
//! ```
//! use kernex_sdk::authorization::{PrincipalKind, Request};
//! use kernex_sdk::{Fact, testing};
//!
//! let operator = testing::principal(PrincipalKind::User, &["operator"]);
//! let context = vec![Fact::integer("now_ms", 1_766_491_200_000)];
//! let request = Request { context, ..testing::request(operator, "deployment:create") };
//! assert_eq!((request.principal.id.as_str(), request.resource.kind.as_str()), ("usr_1", "deployment"));
//! ```

mod batches;
mod lookup;

use crate::Fact;
use crate::authorization::{Principal, PrincipalKind, Request, Resource};
use crate::rollback::{Counts, RollbackRequest, Window};
use crate::targeting::Deployment;

pub use batches::{batch, classes};
pub(crate) use lookup::fact;
pub use lookup::set_facts;

/// The moment of a [`window`], in milliseconds since the Unix epoch: its wave was opened an hour before.
const NOW_MS: u64 = 3_600_000;

/// A caller of this kind with these roles: `usr_1`, `key_1`, `dev_1`, or nobody in particular.
///
/// ```
/// use kernex_sdk::authorization::PrincipalKind;
/// use kernex_sdk::testing;
///
/// let service = testing::principal(PrincipalKind::Service, &["operator"]);
/// assert_eq!((service.id.as_str(), service.roles.as_slice()), ("key_1", &["operator".to_owned()][..]));
/// ```
#[must_use]
pub fn principal(kind: PrincipalKind, roles: &[&str]) -> Principal {
    let id = match kind {
        PrincipalKind::User => "usr_1",
        PrincipalKind::Service => "key_1",
        PrincipalKind::Device => "dev_1",
        PrincipalKind::Anonymous => "",
    };
    Principal { kind, id: id.to_owned(), roles: roles.iter().map(ToString::to_string).collect(), facts: Vec::new() }
}

/// Something of this kind of which nothing is known, as of what does not exist yet.
///
/// ```
/// use kernex_sdk::authorization::Resource;
/// use kernex_sdk::testing;
///
/// let device = Resource { id: Some("dev_1".to_owned()), ..testing::resource("device") };
/// assert!(device.kind == "device" && device.facts.is_empty());
/// ```
#[must_use]
pub fn resource(kind: &str) -> Resource {
    Resource { kind: kind.to_owned(), id: None, facts: Vec::new() }
}

/// The question whether somebody may do this, to a [`resource`] of the action's noun.
///
/// ```
/// use kernex_sdk::authorization::PrincipalKind;
/// use kernex_sdk::testing;
///
/// let request = testing::request(testing::principal(PrincipalKind::User, &[]), "bundle:upload");
/// assert_eq!((request.action.as_str(), request.resource.kind.as_str()), ("bundle:upload", "bundle"));
/// ```
#[must_use]
pub fn request(principal: Principal, action: &str) -> Request {
    let noun = action.split_once(':').map_or(action, |(noun, _)| noun);
    Request { principal, action: action.to_owned(), resource: resource(noun), context: Vec::new() }
}

/// A deployment of which these facts are known.
///
/// ```
/// use kernex_sdk::{Fact, Facts, testing};
///
/// let deployment = testing::deployment(&[Fact::text("bundle.version", "2.0.0")]);
/// assert_eq!(deployment.facts.text("bundle.version"), Some("2.0.0"));
/// ```
#[must_use]
pub fn deployment(facts: &[Fact]) -> Deployment {
    Deployment { id: "dep_1".to_owned(), facts: facts.to_vec(), created_at_ms: 0 }
}

/// So many assignments, none of which was offered yet.
///
/// ```
/// use kernex_sdk::rollback::Counts;
/// use kernex_sdk::testing;
///
/// let counts = Counts { verified: 8, failed: 1, ..testing::counts(10) };
/// assert_eq!((counts.assigned, counts.verified, counts.timed_out), (10, 8, 0));
/// ```
#[must_use]
pub fn counts(assigned: u32) -> Counts {
    Counts { assigned, offered: 0, running: 0, installed: 0, verified: 0, failed: 0, timed_out: 0, rolled_back: 0 }
}

/// The first of two waves, open for an hour, of a deployment that has come no further than this wave.
///
/// ```
/// use kernex_sdk::rollback::{Counts, Window};
/// use kernex_sdk::testing;
///
/// let in_wave = Counts { verified: 10, ..testing::counts(10) };
/// let window = Window { overall: Counts { failed: 3, ..testing::counts(100) }, ..testing::window(in_wave) };
/// assert_eq!((window.in_wave.failed, window.overall.failed), (0, 3));
/// assert_eq!(window.now_ms - window.wave_opened_at_ms, 3_600_000);
/// ```
#[must_use]
pub fn window(in_wave: Counts) -> Window {
    Window {
        deployment: "dep_1".to_owned(),
        facts: Vec::new(),
        now_ms: NOW_MS,
        wave: 0,
        waves: 2,
        wave_opened_at_ms: 0,
        in_wave,
        overall: in_wave,
        failures: Vec::new(),
    }
}

/// The wish to send `dev_1` back from `bun_2` to `bun_1`.
///
/// ```
/// use kernex_sdk::rollback::RollbackRequest;
/// use kernex_sdk::{Fact, testing};
///
/// let request = RollbackRequest { facts: vec![Fact::text("reason", "noisy")], ..testing::rollback_request() };
/// assert_eq!((request.from_bundle.as_str(), request.to_bundle.as_str()), ("bun_2", "bun_1"));
/// ```
#[must_use]
pub fn rollback_request() -> RollbackRequest {
    RollbackRequest {
        device: "dev_1".to_owned(),
        from_bundle: "bun_2".to_owned(),
        to_bundle: "bun_1".to_owned(),
        facts: Vec::new(),
    }
}
