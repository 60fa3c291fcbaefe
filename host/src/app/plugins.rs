//! Owns plugins: uploads with their signatures, and what is known of those that policies may use.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use kernex_engine::Inspection;
use kernex_model::action::Action;
use kernex_model::digest::Digest;
use kernex_model::plugin::Plugin;
use kernex_model::policy::Blame;
use kernex_model::signature::{PublicKey, Signature, SignatureError};
use kernex_store::{CommitError, MAX_PLUGINS};

use super::policies;
use super::policies::settings::check_schema;
use super::{App, AppError, Caller};

/// Plugins that come with this program, at most.
pub const MAX_BUNDLED: usize = 100;
/// How long a component may take to come, in seconds.
const UPLOAD_TIME_S: u32 = 300;

/// Whose plugins are taken.
#[derive(Debug, Clone, Default)]
pub struct PluginSettings {
    /// Keys whose signature lets a plugin in.
    pub trusted: Vec<PublicKey>,
    /// Whether a plugin without a signature is let in.
    pub allow_unsigned: bool,
    /// The largest component that is taken, in bytes.
    pub max_bytes: usize,
}

/// How an upload came out.
#[derive(Debug)]
pub enum PluginUploaded {
    /// It is new.
    Created(Plugin),
    /// The same bytes were there before.
    Existing(Plugin),
}

impl App {
    /// Takes a plugin in: its signature is checked, then it is compiled and asked what it is. Nobody uses it before a
    /// policy does.
    ///
    /// # Errors
    /// Denied; too large; stalled; invalid where the bytes are not those that were `announced`, where the signature is
    /// missing, malformed, of an unknown key or of other bytes, and where the bytes are no plugin (the detail says why
    /// and whose fault it is).
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn upload_plugin(
        &self,
        caller: &Caller,
        signature: Option<&str>,
        announced: Option<Digest>,
        body: impl Stream<Item = std::io::Result<Bytes>> + Unpin + Send,
    ) -> Result<PluginUploaded, AppError> {
        let grant = self.gatekeeper.authorize(caller, Action::PluginUpload, "plugin", None, Vec::new())?;
        let bytes = self.collect_plugin(body).await?;
        let digest = Digest::of(&bytes);
        if let Some(announced) = announced.filter(|announced| *announced != digest) {
            let detail = format!("the component's SHA-256 is {digest}, not {announced}");
            return Err(AppError::field("digest-mismatch", "Repr-Digest", detail));
        }
        let signed_by = self.check_signature(signature, &bytes)?;
        if let Some(plugin) = self.find_plugin(digest).await? {
            return Ok(PluginUploaded::Existing(plugin));
        }
        if self.store.plugins().await?.len() >= MAX_PLUGINS {
            let detail = format!("there are {MAX_PLUGINS} plugins already");
            return Err(AppError::conflict("too-many-plugins", detail));
        }
        let inspection = self.inspect_plugin(&bytes).await?;
        let plugin = Plugin {
            bundled: false,
            signed_by,
            created_by: caller.principal,
            ..policies::plugin(inspection, &bytes, &self.context)
        };
        let detail = serde_json::json!({
            "name": plugin.name, "version": plugin.version, "imports": plugin.imports, "signed_by": plugin.signed_by,
        });
        let mut changes = grant.on(digest).changes(Some(detail));
        changes.create_plugin(&plugin, &bytes);
        match self.store.commit(changes).await {
            Ok(()) => Ok(PluginUploaded::Created(plugin)),
            // Somebody else brought the same bytes at the same moment, and was first.
            Err(CommitError::Exists { .. }) => {
                Ok(PluginUploaded::Existing(self.find_plugin(digest).await?.ok_or(AppError::Busy)?))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lists uploaded plugins and those of this program, by name.
    ///
    /// # Errors
    /// Denied.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_plugins(&self, caller: &Caller) -> Result<Vec<Plugin>, AppError> {
        self.gatekeeper.authorize(caller, Action::PolicyList, "plugin", None, Vec::new())?;
        let mut all = self.store.plugins().await?;
        for digest in policies::bundled_digests() {
            // Those of this program that no policy has used yet are in no table.
            if all.iter().all(|plugin| plugin.digest != digest) {
                all.extend(self.policies.bundled_plugin(digest, &self.context).await?);
            }
        }
        all.sort_by(|one, other| (&one.name, one.created_at).cmp(&(&other.name, other.created_at)));
        Ok(all)
    }

    /// One plugin.
    ///
    /// # Errors
    /// Denied or not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn get_plugin(&self, caller: &Caller, digest: Digest) -> Result<Plugin, AppError> {
        self.gatekeeper.authorize(caller, Action::PolicyRead, "plugin", Some(digest.to_string()), Vec::new())?;
        self.find_plugin(digest).await?.ok_or(AppError::NotFound("plugin"))
    }

    /// A plugin that is in the store, or part of this program.
    pub(super) async fn find_plugin(&self, digest: Digest) -> Result<Option<Plugin>, AppError> {
        match self.store.plugin(digest).await? {
            Some(plugin) => Ok(Some(plugin)),
            None => self.policies.bundled_plugin(digest, &self.context).await,
        }
    }

    async fn collect_plugin(
        &self,
        mut body: impl Stream<Item = std::io::Result<Bytes>> + Unpin + Send,
    ) -> Result<Vec<u8>, AppError> {
        let limit = self.settings.plugins.max_bytes;
        let ends = tokio::time::Instant::now() + Duration::from_secs(u64::from(UPLOAD_TIME_S));
        let mut bytes = Vec::new();
        loop {
            let next = tokio::time::timeout_at(ends, body.next()).await;
            let Some(chunk) = next.map_err(|_| AppError::Stalled { idle_s: UPLOAD_TIME_S })? else { return Ok(bytes) };
            let broken = |_| AppError::invalid("upload-interrupted", "the component did not come whole");
            bytes.extend_from_slice(&chunk.map_err(broken)?);
            if bytes.len() > limit {
                return Err(AppError::TooLarge { limit_bytes: limit as u64 });
            }
        }
    }

    fn check_signature(&self, signature: Option<&str>, bytes: &[u8]) -> Result<Option<String>, AppError> {
        let PluginSettings { trusted, allow_unsigned, .. } = &self.settings.plugins;
        let refused = |code, detail: String| AppError::field(code, "X-Plugin-Signature", detail);
        let Some(text) = signature else {
            if *allow_unsigned {
                return Ok(None);
            }
            let detail = "the plugin is not signed: use `kernex plugin sign` and a key of `plugins.trusted_keys`";
            return Err(refused("signature-missing", detail.to_owned()));
        };
        let parsed: Signature =
            text.parse().map_err(|error: SignatureError| refused("signature-invalid", error.to_string()))?;
        match parsed.verify(trusted, bytes) {
            Ok(key) => Ok(Some(key.to_string())),
            Err(error) => Err(refused("signature-invalid", error.to_string())),
        }
    }

    async fn inspect_plugin(&self, bytes: &[u8]) -> Result<Inspection, AppError> {
        let inspection = self.policies.inspect(bytes.to_vec()).await.map_err(|fault| match fault.blame() {
            Blame::Plugin => AppError::invalid("plugin-refused", fault.to_string()),
            Blame::Host => AppError::Busy,
        })?;
        let unusable = |why| AppError::invalid("plugin-refused", why);
        check_schema(&inspection.manifest.settings_schema).map_err(unusable)?;
        Ok(inspection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_come_with_the_program_than_are_said_to() {
        assert!(policies::bundled_digests().count() <= MAX_BUNDLED);
    }
}
