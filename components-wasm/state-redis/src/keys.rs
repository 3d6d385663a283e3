//! Listing keys: all that match are scanned, sorted and cut into pages; the token is the number of keys already given.

use crate::failure;
use proa_sdk::state::{Error, list_keys::Page};
use redis_core::{Client, Command, Value};

const STEP: u32 = 1000;

pub async fn list(client: &Client, pattern: &str, page_size: u32, token: Option<&str>) -> Result<Page, Error> {
    if pattern.is_empty() {
        return Err(Error::InvalidArgument("keys like pattern cannot be empty".into()));
    }
    let glob = glob(pattern);
    let mut keys = Vec::new();
    for master in client.masters().await.map_err(failure)? {
        let mut cursor = "0".to_owned();
        loop {
            let scan = Command::new("SCAN").arg(&cursor).arg("MATCH").arg(&glob).arg("COUNT").int(STEP);
            let mut reply = master.call(&scan).await.map_err(|e| match failure(e) {
                Error::Unavailable(text) => Error::Unavailable(format!("redis SCAN failed: {text}")),
                error => error,
            })?;
            let (next, found) = parts(&mut reply).ok_or_else(|| Error::Other("unexpected SCAN response".into()))?;
            keys.extend(found.into_iter().filter_map(Value::into_text));
            if next == "0" {
                break;
            }
            cursor = next;
        }
    }
    // A scan may show a key twice.
    keys.sort_unstable();
    keys.dedup();
    Ok(page(keys, page_size, token))
}

fn parts(reply: &mut Value) -> Option<(String, Vec<Value>)> {
    let Value::Array(items) = reply else { return None };
    let found = items.pop()?.into_array()?;
    Some((items.pop()?.into_text()?, found))
}

fn page(keys: Vec<String>, page_size: u32, token: Option<&str>) -> Page {
    let start = token.and_then(|t| t.parse::<usize>().ok()).unwrap_or(0);
    let limit = if page_size == 0 { usize::MAX } else { page_size as usize };
    let total = keys.len();
    let keys: Vec<String> = keys.into_iter().skip(start).take(limit).collect();
    let end = start.saturating_add(keys.len());
    Page { token: (end < total && !keys.is_empty()).then(|| end.to_string()), keys }
}

/// SQL's LIKE as a pattern of Redis.
fn glob(like: &str) -> String {
    let mut out = String::with_capacity(like.len() + 8);
    let literal = |out: &mut String, c: char| {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
            out.push('\\');
        }
        out.push(c);
    };
    let mut chars = like.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => out.push('*'),
            '_' => out.push('?'),
            // An escape at the end stands for itself.
            '\\' => literal(&mut out, chars.next().unwrap_or('\\')),
            c => literal(&mut out, c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert_eq!(glob("a%b_c"), "a*b?c");
        assert_eq!(glob(r"a\%b\_c\\d\"), r"a%b_c\\d\\");
        assert_eq!(glob("x*[y]?"), r"x\*\[y\]\?");
    }

    #[test]
    fn pages() {
        let keys = || vec!["a".to_owned(), "b".into(), "c".into()];
        assert_eq!(page(keys(), 2, None).token.as_deref(), Some("2"));
        assert_eq!(page(keys(), 2, Some("2")).keys, ["c"]);
        assert_eq!(page(keys(), 2, Some("2")).token, None);
        assert!(page(keys(), 0, Some("9")).keys.is_empty());
    }
}
