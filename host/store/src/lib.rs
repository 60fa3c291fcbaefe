//! Owns all state in SurrealDB: the only SurrealQL of Kernex, one file per noun, and the migrations.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod api_key;
mod assertion;
mod assignment;
mod audit;
mod bundle;
mod call;
mod changes;
mod codec;
mod commit;
mod comparison;
mod config;
mod connection;
mod credential;
mod cursor;
mod decision;
mod deployment;
mod device;
mod device_list;
mod device_term;
mod error;
mod idempotency;
mod kept;
mod key;
mod lease;
mod migration;
mod migration_file;
mod operation;
mod plugin;
mod policy;
mod presence;
mod record;
mod report;
mod secret;
mod session;
mod statement;
mod store;
#[cfg(test)]
mod tests;
mod timeline;
mod url;
mod user;
mod walk;

pub use assignment::Due;
pub use audit::AuditFilter;
pub use call::{Call, CallKind, CallOutcome};
pub use changes::{Changes, MAX_RECORDS};
pub use comparison::MAX_DIFFERENCES;
pub use cursor::{Cursor, InvalidCursor, Listed, MAX_PAGE, Page};
pub use decision::DecisionFilter;
pub use deployment::DeploymentFilter;
pub use device::DevicePatch;
pub use device_list::{BundleLookup, DeviceFilter};
pub use error::{CommitError, MigrationError, OpenError, StoreError};
pub use idempotency::KnownKey;
pub use key::Key;
pub use migration::{MigrationState, MigrationStatus, Migrator};
pub use plugin::MAX_PLUGINS;
pub use policy::MAX_POLICIES;
pub use presence::{MAX_PRESENCE_DEVICES, PresencePage};
pub use record::{Record, Revised};
pub use store::{Store, StoreOptions, Watch};
pub use url::{InvalidStoreUrl, StoreUrl, Sync};
