//! The flags of `whoami`, `renew`, `set-role` and their like.

use clap::Args;

/// `shepard whoami` and `shepard renew`: which of the configurations of AWS.
#[derive(Debug, Clone, Default, Args)]
pub struct Who {
    /// Profile of ~/.aws/config [default: what AWS_PROFILE says, or the role of set-role]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Region [default: what AWS_REGION, AWS_DEFAULT_REGION or the profile says]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// `shepard renew`
#[derive(Debug, Args)]
pub struct Renew {
    /// Whose session.
    #[command(flatten)]
    pub who: Who,
    /// Code of the MFA device; asked for on the terminal if it is not given here, where others can see it
    #[arg(long, value_name = "CODE")]
    pub mfa_token: Option<String>,
}

/// `shepard set-role`
#[derive(Debug, Args)]
pub struct SetRole {
    /// Number of the account
    #[arg(long, value_name = "NUMBER")]
    pub account_number: Option<String>,
    /// Role: its name, path and name, or ARN
    #[arg(long, alias = "role", value_name = "NAME")]
    pub role_to_assume_to_target_account: Option<String>,
    /// Code of the MFA device; asked for on the terminal if it is not given here, where others can see it
    #[arg(long, value_name = "CODE")]
    pub mfa_token: Option<String>,
    /// ARN or serial number of the MFA device [default: the profile's mfa_serial]
    #[arg(long, value_name = "ARN")]
    pub serial_number: Option<String>,
    /// With whose credentials.
    #[command(flatten)]
    pub who: Who,
}
