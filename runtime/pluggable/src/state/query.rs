//! Queries: the JSON of the API as the message of the protocol, in which every operator's operand is JSON again.

use pb::sorting::Order;
use proa_host::kinds::state as host;
use proa_protocol::components::v1 as pb;
use serde_json::{Map, Value};

/// The error says what is wrong with the text.
pub fn parse(text: &str) -> Result<pb::Query, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let Value::Object(query) = value else { return Err("it is no object".into()) };
    let filter = match query.get("filter") {
        None | Some(Value::Null) => Default::default(),
        Some(Value::Object(filter)) => filter
            .iter()
            .map(|(operator, operand)| (operator.clone(), prost_types::Any { type_url: String::new(), value: operand.to_string().into_bytes() }))
            .collect(),
        Some(_) => return Err("filter is no object".into()),
    };
    let sort = match query.get("sort") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(keys)) => keys.iter().map(sorting).collect::<Result<_, _>>()?,
        Some(_) => return Err("sort is no array".into()),
    };
    let pagination = match query.get("page") {
        None | Some(Value::Null) => pb::Pagination::default(),
        Some(Value::Object(page)) => pagination(page)?,
        Some(_) => return Err("page is no object".into()),
    };
    Ok(pb::Query { filter, sort, pagination: Some(pagination) })
}

fn sorting(key: &Value) -> Result<pb::Sorting, String> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let order = match text("order") {
        Some("DESC") => Order::Desc,
        _ => Order::Asc,
    };
    Ok(pb::Sorting { key: text("key").ok_or("sort has an entry without key")?.to_owned(), order: order.into() })
}

fn pagination(page: &Map<String, Value>) -> Result<pb::Pagination, String> {
    let limit = match page.get("limit") {
        None | Some(Value::Null) => 0,
        Some(limit) => limit.as_i64().ok_or("page.limit is no whole number")?,
    };
    Ok(pb::Pagination { limit, token: page.get("token").and_then(Value::as_str).unwrap_or_default().to_owned() })
}

pub fn result(response: pb::QueryResponse) -> host::QueryResult {
    let item = |item: pb::QueryItem| {
        let content_type = Some(item.content_type).filter(|c| !c.is_empty());
        let found = host::Item { value: item.data.into(), etag: item.etag.map(|e| e.value), content_type, metadata: Vec::new() };
        (item.key, found)
    };
    host::QueryResult {
        items: response.items.into_iter().map(item).collect(),
        token: Some(response.token).filter(|t| !t.is_empty()),
        metadata: response.metadata.into_iter().collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_query_keeps_its_operands_as_json() {
        let query =
            parse(r#"{"filter":{"EQ":{"state":"CA"}},"sort":[{"key":"a","order":"DESC"},{"key":"b"}],"page":{"limit":3,"token":"t"}}"#).unwrap();
        assert_eq!(query.filter["EQ"].value, br#"{"state":"CA"}"#);
        assert_eq!(query.sort.iter().map(|s| (s.key.as_str(), s.order)).collect::<Vec<_>>(), [("a", 1), ("b", 0)]);
        let page = query.pagination.unwrap();
        assert_eq!((page.limit, page.token.as_str()), (3, "t"));
    }

    #[test]
    fn what_is_no_query_is_told() {
        for text in ["", "[]", r#"{"filter":1}"#, r#"{"sort":{}}"#, r#"{"sort":[{}]}"#, r#"{"page":{"limit":"x"}}"#] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("{}").is_ok());
    }
}
