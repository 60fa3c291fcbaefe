//! Owns how passwords are stored: apart from the accounts, so that no list of accounts reads one.

use kernex_model::id::UserId;
use kernex_model::user::Password;

use crate::error::StoreError;
use crate::key::Key;
use crate::record::Record;
use crate::store::Store;

impl Record for Password {
    type Id = UserId;
    const TABLE: &'static str = "password";

    fn key_of(id: &UserId) -> Key {
        Key::oldest_first(id.0)
    }

    fn key(&self) -> Key {
        Self::key_of(&self.user_id)
    }

    fn id_text(_: &Key) -> Option<String> {
        None
    }
}

impl Store {
    /// The password of an account.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn password(&self, user: UserId) -> Result<Option<Password>, StoreError> {
        self.get(&user).await
    }
}
