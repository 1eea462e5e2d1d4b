//! Values of flags: read, or refused with what would be right.

use jiff::SignedDuration;
use std::time::Duration;
use temper_crds::Quantity;

/// A length of time, such as `15s` or `1m30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "must be a length of time above zero, such as 15s, 1m30s or 500ms".to_owned())
}

/// An amount of storage, such as `50Gi`.
pub(super) fn size(text: &str) -> Result<Quantity, String> {
    let quantity = Quantity::from(text);
    if quantity.whole().is_some_and(|bytes| bytes > 0) || is_counted(text) {
        Ok(quantity)
    } else {
        Err("must be an amount of storage, such as 50Gi or 1Pi".to_owned())
    }
}

/// Units of storage.
const UNITS: [&str; 10] = ["Ki", "Mi", "Gi", "Ti", "Pi", "k", "M", "G", "T", "P"];

/// Whether it is a whole number of a unit, however large: a `Quantity` counts thousandths, up to some Ti, and this one is only handed on.
fn is_counted(text: &str) -> bool {
    let number = UNITS.into_iter().find_map(|unit| text.strip_suffix(unit)).unwrap_or_default();
    number.bytes().all(|byte| byte.is_ascii_digit()) && number.bytes().any(|byte| byte != b'0')
}

/// A name without dots, as namespaces have.
pub(super) fn label(text: &str) -> Result<String, String> {
    if is_label(text) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 63 lowercase letters, digits or `-`, with a letter or digit first and last".to_owned())
    }
}

/// A name that may have dots, as most objects have.
pub(super) fn subdomain(text: &str) -> Result<String, String> {
    if text.len() <= 253 && text.split('.').all(is_label) {
        Ok(text.to_owned())
    } else {
        Err("must be names of lowercase letters, digits or `-`, joined by dots, 253 in all".to_owned())
    }
}

/// What a replica calls itself: anything that can be read.
pub(super) fn identity(text: &str) -> Result<String, String> {
    if (1..=253).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 253 printable ASCII characters without spaces".to_owned())
    }
}

/// A reference to an image.
pub(super) fn image(text: &str) -> Result<String, String> {
    if (1..=1024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("must be an image reference such as ghcr.io/temper-dev/temper-trainer:0.1.0".to_owned())
    }
}

/// Where a server is, such as `http://otel-collector.monitoring:4318`.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let uri = text.parse::<http::Uri>().ok();
    let is_whole =
        uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none());
    if is_whole { Ok(text.to_owned()) } else { Err("must be a URL such as http://otel-collector.monitoring:4318".to_owned()) }
}

/// Variables that pods get from Temper, those of PyTorch among them, and those that load code into programs. One that ends with `_` stands
/// for all that begin so.
const OWN_VARIABLES: [&str; 10] =
    ["TEMPER_", "MASTER_", "LD_", "WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "HOME", "TMPDIR"];
/// Numbers of threads come from a job's processors: results are equal to the bit only for equal numbers.
const THREADS: &str = "_NUM_THREADS";
/// What is in the names of variables with secrets.
const SECRET_VARIABLES: [&str; 5] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];

/// A variable of jobs' pods, such as `HTTPS_PROXY=http://proxy:3128`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let inner = |byte: u8| first(byte) || byte.is_ascii_digit();
    let is_name = |name: &str| name.bytes().next().is_some_and(first) && name.bytes().all(inner);
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| is_name(name)) else {
        return Err("must be NAME=VALUE, such as HTTPS_PROXY=http://proxy:3128".to_owned());
    };
    if name.ends_with(THREADS) || OWN_VARIABLES.iter().any(|own| name == *own || (own.ends_with('_') && name.starts_with(own))) {
        return Err(format!("{name} is set by Temper itself, or changes what pods run; leave it out"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Whether a variable of this name would hold a secret.
pub(super) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.ends_with("_KEY") || SECRET_VARIABLES.iter().any(|secret| name.contains(secret))
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::{duration, endpoint, identity, image, label, names_a_secret, size, subdomain, variable};
    use std::time::Duration;

    #[test]
    fn durations() {
        for (text, milliseconds) in [("15s", 15_000), ("1m30s", 90_000), ("500ms", 500), ("2h", 7_200_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "0s", "-3s", "15", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names() {
        for (text, is_label, is_subdomain) in [
            ("ml", true, true),
            ("ml-1", true, true),
            ("fast.local", false, true),
            ("", false, false),
            ("ML", false, false),
            ("-ml", false, false),
            ("ml-", false, false),
            ("a..b", false, false),
            ("a/b", false, false),
        ] {
            assert_eq!((label(text).is_ok(), subdomain(text).is_ok()), (is_label, is_subdomain), "{text}");
        }
        assert!(label(&"a".repeat(64)).is_err() && subdomain(&"a.".repeat(200)).is_err());
    }

    #[test]
    fn endpoints() {
        for text in ["http://collector:4318", "https://otel.example.com", "http://10.0.0.1:4318/tenant"] {
            assert_eq!(endpoint(text).as_deref(), Ok(text));
        }
        for text in ["", "collector:4317", "grpc://collector:4317", "http://", "http://collector:4318?x=y", "http://a b"] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn variables() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(variable("HTTPS_PROXY=http://proxy:3128"), pair("HTTPS_PROXY", "http://proxy:3128"));
        assert_eq!(variable("no_proxy=a,b=c"), pair("no_proxy", "a,b=c"));
        assert_eq!(variable("EMPTY="), pair("EMPTY", ""));
        for text in ["", "NAME", "=x", "1A=x", "A B=x", "MASTER_ADDR=x", "LD_PRELOAD=x", "WORLD_SIZE=2", "HOME=/x", "MKL_NUM_THREADS=4"] {
            assert!(variable(text).is_err(), "{text}");
        }
        assert!(variable("RANKING=x").is_ok() && variable("MASTER=x").is_ok(), "only their namesakes");
    }

    #[test]
    fn names_of_secrets() {
        assert!(["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "WANDB_API_KEY", "hf_token"].into_iter().all(names_a_secret));
        assert!(!["HTTPS_PROXY", "HF_ENDPOINT", "KEY_SERVER", "SSL_CERT_FILE"].into_iter().any(names_a_secret));
    }

    #[test]
    fn sizes_images_and_identities() {
        assert!(["50Gi", "1e12", "20000Gi", "100Ti", "1Pi", "5P"].into_iter().all(|text| size(text).is_ok()));
        let wrong = ["", "0", "0Pi", "-1Gi", "+5Pi", "50 Gi", "500m", "1000mT", "Pi", "many"];
        assert!(wrong.into_iter().all(|text| size(text).is_err()));
        assert!(image("localhost/temper-trainer:test").is_ok() && image("").is_err() && image("a b").is_err());
        assert!(identity("temper-operator-7d9f-x2x1").is_ok() && identity("").is_err() && identity("a\nb").is_err());
    }
}
