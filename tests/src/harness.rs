//! The harness: the real server, in this process or as a process of its own, and typed clients for it.
//!
//! ```ignore
//! #[test]
//! fn a_viewer_sees_devices() {
//!     run(async {
//!         let server = TestServer::start().await;
//!         let viewer = server.user("viewer").await;
//!         viewer.get("/devices").await.expect(200);
//!     });
//! }
//! ```

mod answer;
mod assertion;
mod call;
mod device;
mod documented;
mod herd;
mod key;
mod process;
mod runtime;
mod server;
mod site;
mod tool;
mod wait;

pub use answer::Answer;
pub use assertion::{Assertion, JWT_BEARER};
pub use call::{Call, Client};
pub use device::TestDevice;
pub use herd::populate;
pub use key::DeviceKey;
pub use process::{ProcessOptions, ServerProcess};
pub use runtime::run;
pub use server::TestServer;
pub use site::{Account, PASSWORD, Site};
pub use tool::tool;
pub use wait::{eventually, eventually_within};
