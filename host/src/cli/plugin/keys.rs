//! Owns `plugin keygen` and `plugin sign`: an author's key, and signatures made with it.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use rand::RngCore;
use zeroize::Zeroizing;

use super::file::read;
use crate::cli::CliError;
use crate::cli::credentials::PRIVATE_FILE_MODE;
use crate::cli::output::say;
use kernex_model::signature::{PublicKey, Signature};

/// Size of a key's file, in bytes.
const MAX_KEY_BYTES: u64 = 4_096;
/// Size of a file that is signed, in bytes: more than any server takes.
pub(super) const MAX_COMPONENT_BYTES: u64 = 64 << 20;
/// How every component begins: magic number, version 13, layer 1.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// Bits that let others than the owner in.
const OTHERS: u32 = 0o077;

const KEYGEN_EXAMPLES: &str = "\
Writes the private key (Ed25519, PKCS#8, PEM; only you can read it) and prints the public key, which servers are told to
trust, with the identifier that signatures name.

Examples:
  kernex plugin keygen --out ~/.config/kernex/plugin-key.pem";

const SIGN_EXAMPLES: &str = "\
Writes FILE.sig: `<key id>:<base64>`, an Ed25519 signature over \"kernex-plugin-v1\\0\" and the SHA-256 of the file.

Examples:
  kernex plugin sign target/kernex/my-rings.wasm --key ~/.config/kernex/plugin-key.pem";

/// Make a key that plugins are signed with.
#[derive(Debug, clap::Args)]
#[command(after_help = KEYGEN_EXAMPLES)]
pub(crate) struct Keygen {
    /// Where the private key is written; the file must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Sign a component.
#[derive(Debug, clap::Args)]
#[command(after_help = SIGN_EXAMPLES)]
pub(crate) struct Sign {
    /// The component
    file: PathBuf,
    /// The private key, as `keygen` writes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Keygen {
    pub(super) fn run(self) -> Result<(), CliError> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(seed.as_mut());
        let key = SigningKey::from_bytes(&seed);
        // Without the public key inside, which OpenSSL does not read.
        let pair = KeypairBytes { secret_key: *seed, public_key: None };
        let pem = pair.to_pkcs8_pem(LineEnding::LF).map_err(CliError::failed)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(PRIVATE_FILE_MODE);
        let written = options.open(&self.out).and_then(|mut file| {
            // Whatever the umask says.
            file.set_permissions(Permissions::from_mode(PRIVATE_FILE_MODE))?;
            file.write_all(pem.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| CliError::Failed(format!("cannot write {}: {error}", self.out.display())))?;
        let public = PublicKey::of(&key);
        say!("private key  {}", self.out.display());
        say!("public key   {public}");
        say!("key id       {}", public.id());
        Ok(())
    }
}

impl Sign {
    pub(super) fn run(self) -> Result<(), CliError> {
        let key = private_key(&self.key)?;
        let component = read(&self.file, MAX_COMPONENT_BYTES).map_err(CliError::failed)?;
        if !component.starts_with(COMPONENT) {
            return Err(CliError::Failed(format!("{} is no WebAssembly component", self.file.display())));
        }
        let signature = Signature::sign(&key, &component);
        let path = signature_path(&self.file);
        std::fs::write(&path, format!("{signature}\n"))
            .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", path.display())))?;
        say!("{}  by the key {}", path.display(), signature.key());
        Ok(())
    }
}

/// Where the signature of a component lies.
pub(super) fn signature_path(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

pub(super) fn private_key(path: &Path) -> Result<SigningKey, CliError> {
    let failed = |why: &str| CliError::Failed(format!("{}: {why}", path.display()));
    let bytes = Zeroizing::new(read(path, MAX_KEY_BYTES).map_err(CliError::failed)?);
    let mode = std::fs::metadata(path).map_err(CliError::failed)?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(failed("others may read this private key; make it yours alone: chmod 600"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| failed("not a private key in PEM form"))?;
    SigningKey::from_pkcs8_pem(text)
        .map_err(|_| failed("not an Ed25519 private key in PEM form (PKCS#8, `BEGIN PRIVATE KEY`)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_signs() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (key, file) = (directory.path().join("key.pem"), directory.path().join("a.wasm"));
        let make = || Keygen { out: key.clone() }.run();
        make().expect("a key");
        let before = std::fs::read(&key).expect("it is there");
        assert!(make().is_err(), "a key is not overwritten");
        assert_eq!(std::fs::read(&key).expect("it is there"), before);
        let mode = std::fs::metadata(&key).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE_FILE_MODE);

        let sign = || Sign { file: file.clone(), key: key.clone() }.run();
        std::fs::write(&file, b"\0asm\x01\0\0\0").expect("written");
        assert!(sign().expect_err("a core module").to_string().contains("no WebAssembly component"));
        let component = [COMPONENT, b"content"].concat();
        std::fs::write(&file, &component).expect("written");
        sign().expect("it is signed");
        let text = std::fs::read_to_string(directory.path().join("a.wasm.sig")).expect("it is there");
        let signature: Signature = text.parse().expect("a signature");
        let public = PublicKey::of(&private_key(&key).expect("a key"));
        assert_eq!(signature.verify(&[public], &component), Ok(public.id()));

        std::fs::set_permissions(&key, Permissions::from_mode(0o640)).expect("ours");
        assert!(sign().expect_err("others read it").to_string().contains("chmod 600"));
    }
}
