//! Requests that follow redirects by our own rules: never from https to http, never to a metadata server, and the token stays at home.

use crate::http;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Response, Url};

/// More redirects than this are a circle.
const MOST_REDIRECTS: usize = 5;

/// How requests reach the hub.
pub(super) struct Route {
    client: Client,
    endpoint: Url,
    bearer: Option<HeaderValue>,
    allow_loopback: bool,
}

/// Why there is no response.
pub(super) enum SendError {
    /// The connection failed.
    Transport(reqwest::Error),
    /// A redirect leads where it must not.
    Refused(String),
}

impl Route {
    pub(super) fn new(client: Client, endpoint: Url, bearer: Option<HeaderValue>, allow_loopback: bool) -> Self {
        let bearer = bearer.map(|mut bearer| {
            bearer.set_sensitive(true);
            bearer
        });
        Self { client, endpoint, bearer, allow_loopback }
    }

    /// The endpoint's address of a path; each part is encoded.
    pub(super) fn url<'a>(&self, parts: impl Iterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint.clone();
        // An http address always has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(parts);
        }
        url
    }

    /// The response at the end of all redirects.
    pub(super) async fn get(&self, url: &Url, header: Option<(HeaderName, HeaderValue)>) -> Result<Response, SendError> {
        let mut url = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.client.get(url.clone());
            if let Some((name, value)) = &header {
                request = request.header(name, value);
            }
            if let Some(bearer) = self.bearer.as_ref().filter(|_| url.origin() == self.endpoint.origin()) {
                request = request.header(AUTHORIZATION, bearer);
            }
            let response = request.send().await.map_err(SendError::Transport)?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            let next = next.ok_or_else(|| SendError::Refused("the server redirects to nowhere".to_owned()))?;
            self.check(&url, &next).map_err(SendError::Refused)?;
            url = next;
        }
        Err(SendError::Refused(format!("the server redirects more than {MOST_REDIRECTS} times")))
    }

    fn check(&self, from: &Url, to: &Url) -> Result<(), String> {
        let host = to.host_str().unwrap_or_default();
        let address = http::ip(to);
        let is_loopback = address.is_some_and(|address| address.is_loopback());
        let refused = |why: &str| Err(format!("the server redirects to {}://{host}, {why}", to.scheme()));
        match (from.scheme(), to.scheme()) {
            (_, "https") => {}
            // Where plain HTTP was chosen, it stays with the server that was chosen, or on this machine.
            ("http", "http") if is_loopback || to.host_str() == self.endpoint.host_str() => {}
            (_, "http") => return refused("which is not encrypted"),
            _ => return refused("which is no web address"),
        }
        if address.is_some_and(http::is_forbidden) || (is_loopback && !self.allow_loopback) {
            return refused("an address of this machine or of its metadata server");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Route;
    use reqwest::Url;

    #[test]
    fn redirects_stay_on_safe_ground() {
        let url = |text: &str| Url::parse(text).expect("an address");
        let client = || crate::http::client(&crate::Settings::default(), true, None).expect("a client");
        let hub = Route::new(client(), url("https://hub.example"), None, false);
        let mirror = Route::new(client(), url("http://mirror.storage:8080"), None, false);
        let local = Route::new(client(), url("http://127.0.0.1:4000"), None, true);
        let table = [
            (&hub, "https://hub.example/a", "https://cdn.example/b?sig=1", true),
            (&hub, "https://hub.example/a", "http://hub.example/b", false),
            (&hub, "https://hub.example/a", "https://169.254.169.254/latest", false),
            (&hub, "https://hub.example/a", "https://127.0.0.1/b", false),
            (&hub, "https://hub.example/a", "https://[::ffff:169.254.169.254]/b", false),
            (&hub, "https://hub.example/a", "file:///etc/passwd", false),
            (&mirror, "http://mirror.storage:8080/a", "http://mirror.storage:9090/b", true),
            (&mirror, "http://mirror.storage:8080/a", "http://169.254.169.254/latest", false),
            (&mirror, "http://mirror.storage:8080/a", "http://elsewhere/b", false),
            (&mirror, "http://mirror.storage:8080/a", "http://127.0.0.1:8001/b", false),
            (&mirror, "http://mirror.storage:8080/a", "https://cdn.example/b", true),
            (&local, "http://127.0.0.1:4000/a", "http://127.0.0.1:5000/b", true),
            (&local, "http://127.0.0.1:4000/a", "http://169.254.169.254/b", false),
        ];
        for (route, from, to, allowed) in table {
            assert_eq!(route.check(&url(from), &url(to)).is_ok(), allowed, "{from} -> {to}");
        }
        let error = hub.check(&url("https://hub.example/a"), &url("http://cdn.example/b?sig=canary")).expect_err("refused");
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn parts_of_a_path_are_encoded() {
        let client = crate::http::client(&crate::Settings::default(), true, None).expect("a client");
        let route = Route::new(client, Url::parse("https://hub.example/mirror").expect("an address"), None, false);
        assert_eq!(
            route.url(["o", "n", "resolve", "refs/pr/1", "a b?.json"].into_iter()).path(),
            "/mirror/o/n/resolve/refs%2Fpr%2F1/a%20b%3F.json"
        );
    }
}
