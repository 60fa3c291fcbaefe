//! Owns how devices come and go on the wire: enrolment, admission, and the tokens that devices get.

use std::sync::Arc;

use kernex_model::attribute::{Facts, Labels};
use kernex_model::device::{Admission, Device};
use kernex_model::id::DeviceId;
use kernex_model::name::{DeviceName, ModelName};
use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret;

use super::body::Json;
use super::caller::{Anyone, Bearer};
use super::problem::Problem;
use super::revision::{Tagged, tagged};
use super::secret_text::SecretText;
use super::tag::Tag;
use crate::app::App;
use crate::app::enrolment::{Enrolled, Enrolment};

/// The one grant that devices have (RFC 7523).
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Enrolment and admission.
pub struct EnrolmentApi {
    app: Arc<App>,
}

impl EnrolmentApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// A device that comes.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub(super) struct EnrolmentRequest {
    /// Its public key in PEM form (SubjectPublicKeyInfo): RSA of 2048 to 4096 bits, ECDSA on P-256, or Ed25519.
    #[oai(validator(max_length = 4096))]
    public_key: String,
    /// What the device calls the key.
    #[oai(validator(max_length = 128))]
    key_id: Option<String>,
    /// Name for people.
    name: Option<DeviceName>,
    /// Hardware model.
    model: Option<ModelName>,
    /// What else it knows of itself.
    #[oai(default)]
    facts: Facts,
}

impl From<EnrolmentRequest> for Enrolment {
    fn from(request: EnrolmentRequest) -> Self {
        let EnrolmentRequest { public_key, key_id, name, model, facts } = request;
        Self { public_key, key_id, name, model, facts }
    }
}

/// A key to be admitted before its device comes.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct PreauthorizationRequest {
    /// The device's public key, as it will enrol with it.
    #[oai(validator(max_length = 4096))]
    public_key: String,
    /// Labels that the device will have.
    #[oai(default)]
    labels: Labels,
    /// Name for people.
    name: Option<DeviceName>,
}

/// A device that proves who it is.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct DeviceTokenRequest {
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`
    grant_type: String,
    /// A JWT signed with the device's key (RS256, ES256 or EdDSA): `iss` and `sub` are the device's identifier, `aud` the
    /// server's name, `exp` lies at most 5 minutes ahead, `jti` is new.
    assertion: SecretText,
}

/// A device's access token.
#[derive(Object)]
struct DeviceTokenAnswer {
    /// For `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// How long it works, in seconds.
    expires_in: u32,
}

#[derive(ApiResponse)]
enum Issued {
    /// The token.
    #[oai(status = 200)]
    Token(
        Json<DeviceTokenAnswer>,
        /// `no-store`: the answer holds a secret.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

#[derive(ApiResponse)]
pub(super) enum Welcome {
    /// A new device.
    #[oai(status = 201)]
    New(
        Json<Device>,
        /// Where operators find it.
        #[oai(header = "Location")]
        String,
    ),
    /// The device that has this key.
    #[oai(status = 200)]
    Known(Json<Device>),
}

impl From<Enrolled> for Welcome {
    fn from(enrolled: Enrolled) -> Self {
        let location = format!("/api/v1/devices/{}", enrolled.device.id);
        if enrolled.new { Self::New(Json(enrolled.device), location) } else { Self::Known(Json(enrolled.device)) }
    }
}

type Answer<T> = Result<T, Problem>;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Devices")]
impl EnrolmentApi {
    /// Admit a key before its device enrols
    ///
    /// Makes the device at once, active: it need not wait when it enrols with this key. One that waits is admitted.
    #[oai(path = "/devices/preauthorize", method = "post", operation_id = "preauthorize_device")]
    async fn preauthorize_device(&self, caller: Bearer, body: Json<PreauthorizationRequest>) -> Answer<Welcome> {
        let PreauthorizationRequest { public_key, labels, name } = body.0;
        Ok(self.app.preauthorize_device(&caller.0, &public_key, labels, name).await?.into())
    }

    /// Admit a device
    ///
    /// Takes one in that waits: from now on it gets tokens and deployments.
    #[oai(path = "/devices/:id/admit", method = "post", operation_id = "admit_device")]
    async fn admit_device(&self, caller: Bearer, id: Path<DeviceId>) -> Answer<Tagged<Device>> {
        self.stand(&caller, id.0, Admission::Admit).await
    }

    /// Block a device
    ///
    /// Its token stops working at once.
    #[oai(path = "/devices/:id/block", method = "post", operation_id = "block_device")]
    async fn block_device(&self, caller: Bearer, id: Path<DeviceId>) -> Answer<Tagged<Device>> {
        self.stand(&caller, id.0, Admission::Block).await
    }

    /// Unblock a device
    ///
    /// It gets tokens again, and takes part again in what is going on.
    #[oai(path = "/devices/:id/unblock", method = "post", operation_id = "unblock_device")]
    async fn unblock_device(&self, caller: Bearer, id: Path<DeviceId>) -> Answer<Tagged<Device>> {
        self.stand(&caller, id.0, Admission::Unblock).await
    }

    /// Retire a device
    ///
    /// For good: its history stays, its key cannot enrol again.
    #[oai(path = "/devices/:id/retire", method = "post", operation_id = "retire_device")]
    async fn retire_device(&self, caller: Bearer, id: Path<DeviceId>) -> Answer<Tagged<Device>> {
        self.stand(&caller, id.0, Admission::Retire).await
    }

    /// Get a device's access token
    ///
    /// In exchange for an assertion that the device signs with its key (RFC 7523); each works once.
    #[oai(path = "/device/token", method = "post", operation_id = "issue_device_token", tag = "Tag::Device")]
    async fn issue_device_token(&self, caller: Anyone, body: Json<DeviceTokenRequest>) -> Answer<Issued> {
        if body.0.grant_type != JWT_BEARER {
            return Err(Problem::field("unsupported-grant-type", "/grant_type", format!("must be {JWT_BEARER}")));
        }
        let token = self.app.issue_device_token(&caller.0, body.0.assertion.0.expose_secret()).await?;
        let access_token = token.access_token.expose_secret().to_owned();
        let answer = DeviceTokenAnswer { access_token, token_type: "Bearer".to_owned(), expires_in: token.expires_in };
        Ok(Issued::Token(Json(answer), "no-store".to_owned()))
    }
}

impl EnrolmentApi {
    async fn stand(&self, caller: &Bearer, id: DeviceId, admission: Admission) -> Answer<Tagged<Device>> {
        let device = self.app.change_standing(&caller.0, id, admission).await?;
        let revision = device.revision;
        Ok(tagged(device, revision))
    }
}
