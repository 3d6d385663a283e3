//! Where the application is, and the address of a path there.

use http::Uri;
use http::uri::{Authority, Scheme};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use proa_core::AppProtocol;

/// What a path in configuration may hold and an address may not.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}').add(b'|').add(b'\\').add(b'^').add(b'#');

/// Scheme, host and port.
#[derive(Debug)]
pub struct Target {
    scheme: Scheme,
    authority: Authority,
}

/// An address's path and query with everything escaped that may not stand there.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

impl Target {
    pub fn new(protocol: AppProtocol, host: &str, port: u16) -> Result<Self, String> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let host = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
        let authority = format!("{host}:{port}");
        Ok(Self {
            scheme: if protocol == AppProtocol::Https { Scheme::HTTPS } else { Scheme::HTTP },
            authority: authority.parse().map_err(|e| format!("{authority:?} is not an address: {e}"))?,
        })
    }

    /// `path` may hold a query and need not start with a slash.
    pub fn uri(&self, path: &str) -> Result<Uri, String> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = crate::http::clean_path(path);
        let mut target = utf8_percent_encode(&path, ESCAPED).to_string();
        if !query.is_empty() {
            target.push('?');
            target.extend(utf8_percent_encode(query, ESCAPED));
        }
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone()).path_and_query(target.as_str());
        uri.build().map_err(|e| format!("{target:?} is not a path: {e}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_addresses() {
        let target = Target::new(AppProtocol::Http, "127.0.0.1", 80).unwrap();
        for (path, address) in [("orders", "/orders"), ("/a b//c?x=1", "/a%20b/c?x=1"), ("", "/"), ("/../é", "/%C3%A9")] {
            assert_eq!(target.uri(path).unwrap().to_string(), format!("http://127.0.0.1:80{address}"));
        }
        assert_eq!(Target::new(AppProtocol::Https, "::1", 1).unwrap().uri("/").unwrap(), "https://[::1]:1/");
    }
}
