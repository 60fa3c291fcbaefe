//! Owns content codings: which one an answer goes out in, and that requests come without.

use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::web::{Compress, CompressionAlgo, CompressionLevel};
use poem::{IntoResponse, Response};

use super::problem::Problem;

/// A shorter body goes out as it is: it fits into a packet or two anyway.
pub(super) const MIN_BYTES: usize = 1_024;

/// What is offered; the first of those that the client likes best.
const OFFERED: [(&str, CompressionAlgo); 3] =
    [("zstd", CompressionAlgo::ZSTD), ("br", CompressionAlgo::BR), ("gzip", CompressionAlgo::GZIP)];
/// How much a coding is wanted that carries no weight, in thousandths.
const FULL_WEIGHT: u16 = 1_000;

/// Refuses a body that is coded: decompressing it would undo every limit on its length.
///
/// # Errors
/// 415, with what is taken instead (RFC 9110, section 15.5.16).
pub(super) fn refuse_coded(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    if codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    let detail = "send the body as it is, without `Content-Encoding`";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-content-coding", detail)
        .with_header(header::ACCEPT_ENCODING, "identity"))
}

/// The coding that `Accept-Encoding` likes best of those that are offered (RFC 9110, section 12.5.3); `None` where
/// the content is to go out as it is. A coding that is refused with a weight of 0 is not used.
// Not poem's own middleware: it takes no weight of 0 for an answer, misspells zstd, and decompresses requests.
pub(super) fn wanted(headers: &HeaderMap) -> Option<CompressionAlgo> {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let preferences: Vec<(&str, u16)> = lines.flat_map(|line| line.split(',')).filter_map(preference).collect();
    let of = |name: &str| {
        preferences.iter().find(|(coding, _)| coding.eq_ignore_ascii_case(name)).map(|(_, weight)| *weight)
    };
    let anything = of("*").unwrap_or(0);
    let plain = of("identity").unwrap_or(0);
    let wanted = OFFERED.map(|(name, coding)| (of(name).unwrap_or(anything), coding));
    // The first of the best: of equal ones `max_by_key` gives the last.
    let (weight, coding) = wanted.into_iter().rev().max_by_key(|(weight, _)| *weight)?;
    (weight > 0 && weight >= plain).then_some(coding)
}

/// One member of `Accept-Encoding` with its weight in thousandths; `None` where it cannot be read.
fn preference(member: &str) -> Option<(&str, u16)> {
    let mut parts = member.split(';').map(str::trim);
    let coding = parts.next()?;
    let Some(parameter) = parts.next() else { return Some((coding, FULL_WEIGHT)) };
    let (name, weight) = parameter.split_once('=')?;
    let weight: f32 = weight.trim().parse().ok()?;
    if !name.trim().eq_ignore_ascii_case("q") || !(0.0..=1.0).contains(&weight) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    Some((coding, (weight * f32::from(FULL_WEIGHT)) as u16))
}

/// Says that the answer depends on `Accept-Encoding`, also where it goes out as it is.
pub(super) fn vary(headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
}

/// The answer in a coding. It is compressed while it is sent, and quickly rather than well: the gain beyond is small
/// and the cores have other work.
#[must_use]
pub(super) fn compress(response: Response, coding: CompressionAlgo) -> Response {
    Compress::new(response, coding).with_quality(CompressionLevel::Fastest).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &'static str) -> Option<CompressionAlgo> {
        wanted(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accept))]))
    }

    #[test]
    fn the_client_chooses() {
        use CompressionAlgo::{BR, GZIP, ZSTD};
        for (accept, coding) in [
            ("gzip", Some(GZIP)),
            ("GZIP", Some(GZIP)),
            ("gzip, deflate, br", Some(BR)),
            ("gzip, deflate, br, zstd", Some(ZSTD)),
            ("gzip;q=1.0, br;q=0.5", Some(GZIP)),
            ("gzip ; q=0.8 , br;Q=0.9", Some(BR)),
            ("*", Some(ZSTD)),
            ("*;q=0.1, zstd;q=0", Some(BR)),
            ("identity;q=0.5, gzip;q=0.4", None),
            ("identity, gzip", Some(GZIP)),
            ("identity;q=0, gzip;q=0.1", Some(GZIP)),
            ("gzip;q=0", None),
            ("gzip;q=0.000", None),
            ("gzip;q=2", None),
            ("gzip;q=NaN", None),
            ("gzip;level=9", None),
            ("deflate", None),
            ("identity", None),
            ("", None),
        ] {
            assert_eq!(of(accept), coding, "{accept}");
        }
        assert_eq!(wanted(&HeaderMap::new()), None);
    }

    #[test]
    fn only_what_is_not_coded_comes_in() {
        let of = |coding| {
            let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))]);
            refuse_coded(&headers).err().map(|problem| problem.code().to_owned())
        };
        assert!(refuse_coded(&HeaderMap::new()).is_ok());
        assert_eq!(of("identity"), None);
        for coding in ["gzip", "identity, gzip", "br", ""] {
            assert_eq!(of(coding).as_deref(), Some("unsupported-content-coding"), "{coding}");
        }
    }
}
