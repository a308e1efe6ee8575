//! The arguments of `shepard template`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `shepard template`
#[derive(Debug, Args)]
#[command(after_help = "The console stands flocks up by itself. By hand:

  shepard template --bucket MY-BUCKET --to flock.yml --code flock.zip
  aws s3 cp flock.zip s3://MY-BUCKET/KEY      (the KEY is what the first command prints)
  aws cloudformation deploy --stack-name NAME --template-file flock.yml --s3-bucket MY-BUCKET \\
      --capabilities CAPABILITY_IAM --parameter-overrides Ec2KeyPair=… InputsBucket=… …

docs/template.md lists the parameters.")]
pub struct Template {
    /// What to print instead of the template: its parameters, with their defaults and what they are for
    #[arg(value_enum, conflicts_with_all = ["bucket", "key", "to", "code"])]
    pub what: Option<TemplatePart>,
    /// Bucket, in the stack's region, that the program of the stack's functions lies in
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
    /// Its key in that bucket [default: one with the program's digest in it]
    #[arg(long, value_name = "KEY", requires = "bucket")]
    pub key: Option<String>,
    /// Write the template to this file instead of printing it
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Write the program of the stack's functions to this file, to be put into the bucket
    #[arg(long, value_name = "FILE")]
    pub code: Option<PathBuf>,
}

/// What of the template can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TemplatePart {
    /// Its parameters
    Parameters,
}
