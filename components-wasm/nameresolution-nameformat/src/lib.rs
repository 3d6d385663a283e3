//! `nameresolution.nameformat`: an address from an application's id, by a pattern. Pure text: it cannot fail but for an empty id.

use proa_sdk::component::{Component, Config, InitError};
use proa_sdk::nameresolution::{Error, Request, SelfInfo, resolver::Resolver};
use proa_sdk::properties::invalid;
use proa_sdk::{Properties, log};

const PLACE: &str = "{appid}";

struct NameFormat {
    format: String,
}

/// The pattern, checked.
fn read(properties: &Properties) -> Result<String, InitError> {
    let format = properties.get("format").ok_or_else(|| InitError::Other("format is required in metadata".into()))?;
    if !format.contains(PLACE) {
        return Err(InitError::Other("format must contain {appid} placeholder".into()));
    }
    if format.contains(['/', '@']) || format.contains(char::is_whitespace) {
        return Err(invalid("format", format!("{format:?} is not host:port")));
    }
    Ok(format.to_owned())
}

impl Component for NameFormat {
    async fn init(config: Config) -> Result<Self, InitError> {
        let format = read(&(&config).into())?;
        log::debug(format!("Initialized with format: {format}"));
        Ok(Self { format })
    }
}

impl Resolver for NameFormat {
    async fn announce(&self, _me: SelfInfo) -> Result<(), Error> {
        Ok(())
    }

    async fn resolve(&self, request: Request) -> Result<Vec<String>, Error> {
        if request.app_id.is_empty() {
            return Err(Error::InvalidArgument("empty ID not allowed".into()));
        }
        Ok(vec![self.format.replace(PLACE, &request.app_id)])
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    NameFormat: nameresolution::resolver
}
