//! `secretstores.local.env`: environment variables as secrets. The sidecar's own credentials are never shown. A variable that is not
//! set reads as empty, as it always did in Dapr; nothing here fails.

mod rules;

use proa_sdk::Properties;
use proa_sdk::component::{Component, Config, InitError, health::Health};
use proa_sdk::secretstores::{Error, Metadata, Secret, store::Store};

struct Environment {
    prefix: String,
}

impl Component for Environment {
    async fn init(config: Config) -> Result<Self, InitError> {
        Ok(Self { prefix: Properties::from(&config).get("prefix").unwrap_or_default().to_owned() })
    }
}

impl Health for Environment {
    async fn ping(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Store for Environment {
    async fn get(&self, name: String, _metadata: Metadata) -> Result<Secret, Error> {
        let variable = format!("{}{name}", self.prefix);
        let value = if rules::allowed(&variable) {
            std::env::var_os(&variable).map(|v| v.to_string_lossy().into_owned()).unwrap_or_default()
        } else {
            proa_sdk::log::warn(format!("Access to env var {name} is forbidden"));
            String::new()
        };
        Ok(vec![(name, value)])
    }

    async fn get_all(&self, _metadata: Metadata) -> Result<Vec<(String, Secret)>, Error> {
        let variables = std::env::vars_os().map(|(n, v)| (n.to_string_lossy().into_owned(), v.to_string_lossy().into_owned()));
        let seen = variables.filter_map(|(variable, value)| {
            let name = rules::listed(&variable, &self.prefix)?;
            Some((name.to_owned(), vec![(name.to_owned(), value)]))
        });
        Ok(seen.collect())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Environment: secretstores::store, component::health
}
