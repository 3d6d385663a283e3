//! What is registered of this sidecar: the advanced registration as it was given, or one made of the rest of the configuration.

use crate::settings::Registration;
use proa_sdk::nameresolution::SelfInfo;
use proa_sdk::net::join_host_port;
use serde_json::{Map, Value, json};

impl Registration {
    /// None: nothing is to be registered. The error names what is missing, as Dapr's does.
    pub fn of(&self, app_id: &str, me: &SelfInfo, port_key: &str) -> Result<Option<Map<String, Value>>, String> {
        if me.internal_grpc_port == 0 {
            return Err("metadata property missing: DAPR_PORT".into());
        }
        let mut registration = match &self.advanced {
            Some(advanced) => advanced.clone(),
            None if self.own => self.plain(app_id, me)?,
            None => return Ok(None),
        };
        let meta = registration.entry("Meta").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(meta) = meta {
            meta.insert(port_key.to_owned(), me.internal_grpc_port.to_string().into());
        }
        Ok(Some(registration))
    }

    fn plain(&self, app_id: &str, me: &SelfInfo) -> Result<Map<String, Value>, String> {
        let missing = |name: &str| format!("metadata property missing: {name}");
        if app_id.is_empty() {
            return Err(missing("APP_ID"));
        }
        let app_port = self.app_port.ok_or_else(|| missing("APP_PORT"))?;
        if me.host_address.is_empty() {
            return Err(missing("HOST_ADDRESS"));
        }
        if me.http_port == 0 {
            return Err(missing("DAPR_HTTP_PORT"));
        }
        let (host, port) = (&me.host_address, me.http_port);
        let id = format!("{app_id}-{host}-{port}");
        let own = || {
            json!([{
                "Name": "Dapr Health Status",
                "CheckID": format!("daprHealth:{id}"),
                "Interval": "15s",
                "HTTP": format!("http://{}/v1.0/healthz?appid={app_id}", join_host_port(host, port)),
            }])
        };
        let mut out = Map::new();
        out.insert("ID".into(), id.clone().into());
        out.insert("Name".into(), app_id.into());
        if let Some(tags) = &self.tags {
            out.insert("Tags".into(), tags.clone());
        }
        out.insert("Port".into(), app_port.into());
        out.insert("Address".into(), host.clone().into());
        out.insert("Meta".into(), Value::Object(self.meta.clone()));
        out.insert("Checks".into(), self.checks.clone().unwrap_or_else(own));
        Ok(out)
    }
}

/// Under which id a registration is taken back: Consul takes the name where none is given.
pub fn id(registration: &Map<String, Value>) -> Option<&str> {
    ["ID", "Name"].iter().find_map(|name| registration.get(*name)?.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn me() -> SelfInfo {
        SelfInfo { host_address: "10.0.0.1".into(), http_port: 3500, grpc_port: 50001, internal_grpc_port: 50002 }
    }

    #[test]
    fn the_default_check_is_the_sidecars_health() {
        let settings = Registration { own: true, app_port: Some(8080), ..Registration::default() };
        let made = settings.of("app", &me(), "DAPR_PORT").unwrap().unwrap();
        assert_eq!(id(&made), Some("app-10.0.0.1-3500"));
        assert_eq!(made["Checks"][0]["HTTP"], "http://10.0.0.1:3500/v1.0/healthz?appid=app");
        assert_eq!((&made["Port"], &made["Meta"]["DAPR_PORT"]), (&json!(8080), &json!("50002")));
        assert!(made.get("Tags").is_none());
    }

    #[test]
    fn an_advanced_registration_is_taken_as_it_is() {
        let advanced = json!({"Name": "other", "Meta": {"a": "b"}});
        let settings = Registration { advanced: advanced.as_object().cloned(), own: true, ..Registration::default() };
        let made = settings.of("app", &me(), "P").unwrap().unwrap();
        assert_eq!(Value::Object(made.clone()), json!({"Name": "other", "Meta": {"a": "b", "P": "50002"}}));
        assert_eq!(id(&made), Some("other"));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(Registration::default().of("app", &me(), "P").unwrap(), None);
        let own = Registration { own: true, ..Registration::default() };
        assert_eq!(own.of("app", &me(), "P").unwrap_err(), "metadata property missing: APP_PORT");
    }
}
