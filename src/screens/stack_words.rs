//! How the screens about stacks say things: statuses in their colours, types without their prefix, sums of money.

use crate::ui::table::Cell;
use crate::ui::{Look, Role};

/// The role of a status in CloudFormation's words.
pub(super) fn role(status: &str) -> Role {
    match status {
        status if status.ends_with("_FAILED") => Role::Failed,
        status if status.ends_with("_IN_PROGRESS") => Role::Running,
        status if status.contains("ROLLBACK") => Role::Warn,
        "DELETE_COMPLETE" | "DELETE_SKIPPED" => Role::Muted,
        status if status.ends_with("_COMPLETE") => Role::Succeeded,
        _ => Role::Muted,
    }
}

/// A status with its sign.
pub(super) fn status<'a>(look: &Look, status: &str) -> Cell<'a> {
    let role = role(status);
    let sign = match role {
        Role::Failed => look.glyphs.failed,
        Role::Running => look.glyphs.running,
        Role::Warn => look.glyphs.warning,
        Role::Succeeded => look.glyphs.succeeded,
        _ => " ",
    };
    Cell::of(role, format!("{sign} {status}"))
}

/// A type without what all types begin with: `S3::Bucket`.
pub(super) fn kind(kind: &str) -> &str {
    kind.strip_prefix("AWS::").unwrap_or(kind)
}

/// `$12.30`.
pub(super) fn dollars(cents: u64) -> String {
    format!("${}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_looks_as_it_is_meant() {
        for (status, role_of_it) in [
            ("CREATE_COMPLETE", Role::Succeeded),
            ("UPDATE_ROLLBACK_COMPLETE", Role::Warn),
            ("ROLLBACK_IN_PROGRESS", Role::Running),
            ("ROLLBACK_FAILED", Role::Failed),
            ("DELETE_COMPLETE", Role::Muted),
            ("", Role::Muted),
        ] {
            assert_eq!(role(status), role_of_it, "{status}");
        }
        assert_eq!((dollars(5), dollars(123_456)), ("$0.05".to_owned(), "$1234.56".to_owned()));
    }
}
