//! Jobs by API and code by quick deploy, for the console. What is typed is repeated nowhere.

use super::fetch::expanded;
use crate::app::effect::Variables;
use crate::app::msg::Done;
use crate::operations::flock::Opener;
use crate::operations::{OperationError, by_api, flocks};

/// Makes jobs of JSON, or of a file that holds it.
pub(super) async fn batch(opener: &Opener, flock: &str, typed: &Variables) -> Result<Done, OperationError> {
    let payload = if typed.0.starts_with(['{', '[']) {
        typed.0.clone()
    } else {
        let path = expanded(&typed.0);
        tokio::fs::read_to_string(&path).await.map_err(OperationError::io("read", &path))?
    };
    let open = opener.open_to_change(flock).await?;
    let called = by_api::call(&open, &payload).await?;
    // The original's function answers mistakes with a status in its answer.
    let status = called.answer.get("statusCode").and_then(serde_json::Value::as_u64);
    if let Some(status) = status.filter(|status| *status >= 400) {
        let why = called.answer.get("errors").unwrap_or(&called.answer);
        return Err(OperationError::Refused(format!("{flock} refused it with status {status}: {why}")));
    }
    let text = match called.ids.len() {
        0 => format!("{flock} took it, and says no ids"),
        1 => format!("1 job made in {flock}"),
        many => format!("{many} jobs made in {flock}"),
    };
    Ok(Done { text, failed: Vec::new(), path: None })
}

/// Puts a folder where jobs find it.
pub(super) async fn quick_deploy(opener: &Opener, flock: &str, path: &str) -> Result<Done, OperationError> {
    let folder = expanded(path);
    let name = flocks::quick_deploy_name(&folder)?;
    let open = opener.open_to_change(flock).await?;
    let files = flocks::quick_deploy(&open, &folder, &name).await?;
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    let text = format!("{files} put; a job runs them with \"QUICK_DEPLOY_DIRECTORY\": \"{name}\"");
    Ok(Done { text, failed: Vec::new(), path: None })
}
