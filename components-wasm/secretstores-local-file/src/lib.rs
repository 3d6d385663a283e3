//! `secretstores.local.file`: secrets from one JSON file, read once at the start. When the file changes the host starts a new instance;
//! a file that cannot be read keeps the earlier one serving.

mod flatten;

use flatten::{Pairs, Secrets};
use proa_sdk::Properties;
use proa_sdk::component::{Component, Config, InitError, health::Health};
use proa_sdk::secretstores::{Error, Metadata, Secret, store::Store};

struct File {
    secrets: Secrets,
}

impl Component for File {
    async fn init(config: Config) -> Result<Self, InitError> {
        let properties = Properties::from(&config);
        let path = properties.get("secretsFile").ok_or_else(|| InitError::Other("missing local secrets file in metadata".into()))?;
        let text = proa_sdk::files::read(path).map_err(|why| InitError::Other(format!("open {why}")))?;
        // `null` is an empty file to Dapr too.
        let file: Option<serde_json::Map<_, _>> = serde_json::from_str(&String::from_utf8_lossy(&text))
            .map_err(|e| InitError::Property(("secretsFile".into(), format!("{path} does not hold a JSON object: {e}"))))?;
        let separator = properties.get("nestedSeparator").unwrap_or(":");
        let multi_valued = properties.bool("multiValued").unwrap_or(false);
        Ok(Self { secrets: flatten::secrets(&file.unwrap_or_default(), separator, multi_valued) })
    }
}

impl Health for File {
    async fn ping(&self) -> Result<(), String> {
        Ok(())
    }
}

fn secret(pairs: &Pairs) -> Secret {
    pairs.iter().map(|(n, v)| (n.clone(), v.clone())).collect()
}

impl Store for File {
    async fn get(&self, name: String, _metadata: Metadata) -> Result<Secret, Error> {
        self.secrets.get(&name).map(secret).ok_or_else(|| Error::NotFound(format!("secret {name} not found")))
    }

    async fn get_all(&self, _metadata: Metadata) -> Result<Vec<(String, Secret)>, Error> {
        Ok(self.secrets.iter().map(|(name, pairs)| (name.clone(), secret(pairs))).collect())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    File: secretstores::store, component::health
}
