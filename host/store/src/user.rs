//! Owns how accounts are stored: unique by user name and e-mail address without regard to case.

use kernex_model::id::UserId;
use kernex_model::user::User;
use surrealdb::types::{Object, Variables};

use crate::codec;
use crate::cursor::{Listed, Page};
use crate::error::StoreError;
use crate::key::Key;
use crate::record::{Record, Revised};
use crate::store::Store;
use crate::walk::Walk;

impl Record for User {
    type Id = UserId;
    const TABLE: &'static str = "user";
    const DERIVED: &'static [&'static str] = &["username_folded", "email_folded"];

    fn key_of(id: &UserId) -> Key {
        Key::oldest_first(id.0)
    }

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn id_text(key: &Key) -> Option<String> {
        Some(format!("{}{}", UserId::PREFIX, key.sort()))
    }

    fn derive(&self, row: &mut Object) {
        row.insert("username_folded", self.username.folded());
        row.insert("email_folded", self.email.folded());
    }
}

impl Revised for User {
    fn revision(&self) -> u64 {
        self.revision
    }
}

impl Store {
    /// One account.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.get(&id).await
    }

    /// The account with this user name or e-mail address, without regard to case.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn user_by_login(&self, login: &str) -> Result<Option<User>, StoreError> {
        // No user name has an `@`, every address has one: one index answers.
        let column = if login.contains('@') { "email_folded" } else { "username_folded" };
        let mut variables = Variables::new();
        variables.insert("login", login.to_lowercase());
        let text = format!("SELECT * FROM user WHERE {column} = $login LIMIT 1");
        self.rows(&text, variables, 0).await?.into_iter().next().map(codec::decode).transpose()
    }

    /// Whether there is any account at all.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn any_user(&self) -> Result<bool, StoreError> {
        Ok(!self.walk::<User>(&Walk::Table, "", 1).await?.is_empty())
    }

    /// Accounts, oldest first.
    ///
    /// # Errors
    /// Where the database fails or the cursor is another list's.
    pub async fn list_users(&self, page: &Page) -> Result<Listed<User>, StoreError> {
        self.list(&Walk::Table, page).await
    }
}
