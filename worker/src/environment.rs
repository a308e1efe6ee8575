//! The payload's environment: exactly the contract's variables, in the contract's order.
//!
//! Nothing of the worker's own environment is among them. What a program needs beyond them to start at all
//! (`PATH` and the like) is the [`Payload`](crate::Payload)'s to add.

use shepard_cloud::ports::Buckets;
use shepard_model::JobRow;
use shepard_model::names::{Filesystem, worker_env};

use crate::job::Job;
use crate::place::Dirs;

/// The variables for one attempt. `status` is the row's `calling_payload_code …`, `row` the row as claimed.
///
/// A user's variable that has the name of one of ours (only `QUICK_DEPLOY_BUCKET` and `SHEPARD_CHECKPOINT` can: the
/// rest are reserved) gives way, as it did in the original's env file, where the later line won.
pub fn of(row: &JobRow, job: &Job, buckets: &Buckets, dirs: &[Dirs], status: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        row.variables.iter().map(|(name, value)| (name.clone(), value.to_env())).collect();
    let mut put = |name: &str, value: String| {
        all.retain(|(known, _)| known != name);
        all.push((name.to_owned(), value));
    };
    let on = |filesystem| dirs.iter().find(|dirs| dirs.filesystem == filesystem);
    let truth = |is: bool| if is { "True" } else { "False" }.to_owned();
    let input = |dirs: &Dirs| dirs.input.display().to_string();
    let output = |dirs: &Dirs| dirs.output.display().to_string();
    let read_only = |dirs: &Dirs| dirs.base.join("read_only").display().to_string();
    let key = row.input.as_ref().map(|object| object.key.clone()).or_else(|| job.input.clone());

    put("UUID", row.id.to_string());
    put("END_TIME", row.end_time_s.to_string());
    put("START_TIME", row.start_time_s.unwrap_or_default().to_string());
    put("JOB_STATUS", status.to_owned());
    put("INPUTS_BUCKET", buckets.inputs.clone());
    put("OUTPUTS_BUCKET", buckets.outputs.clone());
    put("QUICK_DEPLOY_BUCKET", buckets.quick_deploy.clone());
    put("INPUT_ZIP_NAME", key.filter(|_| !job.invoked).unwrap_or_else(|| "None".to_owned()));
    if let Some(root) = on(Filesystem::Root) {
        put("ROOT_INPUT_NAME", input(root));
        put("ROOT_OUTPUT_NAME", output(root));
    }
    put("ALLOW_DOCKER_ACCESS", truth(job.allow_docker));
    put("IS_INVOKED", truth(job.invoked));
    put("USES_EFS", truth(on(Filesystem::Efs).is_some()));
    if let Some(efs) = on(Filesystem::Efs) {
        put("EFS_INPUT_NAME", input(efs));
        put("EFS_OUTPUT_NAME", output(efs));
        put("EFS_READ_ONLY_PATH", read_only(efs));
    }
    put("USES_LUSTRE", truth(on(Filesystem::Lustre).is_some()));
    if let Some(lustre) = on(Filesystem::Lustre) {
        put("LUSTRE_INPUT_NAME", input(lustre));
        put("LUSTRE_OUTPUT_NAME", output(lustre));
        put("LUSTRE_READ_ONLY_PATH", read_only(lustre));
    }
    // These close the list, so that the order above stays the old one. The limit was documented by the original and
    // never passed.
    if let Some(limit) = job.ulimit_nofile {
        put("ULIMIT_FILENO", limit.to_string());
    }
    if let Some(root) = on(Filesystem::Root) {
        put(worker_env::CHECKPOINT, root.checkpoint().display().to_string());
    }
    all
}

#[cfg(test)]
mod tests {
    use shepard_model::{Inputs, JobId, ObjectRef, status};

    use super::*;
    use crate::place::Place;

    fn row(json: &str) -> JobRow {
        let inputs = Inputs::from_json(json).unwrap();
        let input = Some(ObjectRef::new("in", "my folder/a.zip"));
        let mut row = JobRow::arrived(JobId::parse("u").unwrap(), input, inputs, 1_000_000, 1);
        row.start_time_s = Some(1_632_209_835);
        row
    }

    fn environment(json: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let least = [("UUID", "u"), ("INPUT_ZIP_NAME", "my folder/a.zip"), ("IS_INVOKED", "False")];
        let job = Job::from_env(least.iter().chain(more).copied()).unwrap();
        let buckets = Buckets {
            inputs: "in".into(),
            outputs: "out".into(),
            quick_deploy: "qd".into(),
            errors: "e".into(),
        };
        let dirs = Place::aws(&job).dirs(&job.id);
        of(&row(json), &job, &buckets, &dirs, &status::calling(1_632_209_835_000))
    }

    fn lines(environment: &[(String, String)]) -> Vec<String> {
        environment.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn the_contracts_variables_in_the_contracts_order() {
        let least = environment(r#"{"zeta":0,"Alpha":true,"n":null,"text":"a\nb=c","list":[1, 2.50]}"#, &[]);
        let expected = [
            "zeta=0",
            "Alpha=True",
            "n=None",
            "text=a\nb=c",
            "list=[1,2.50]",
            "UUID=u",
            "END_TIME=87400",
            "START_TIME=1632209835",
            "JOB_STATUS=calling_payload_code 2021/09/21-07:37:15 U.T.C.",
            "INPUTS_BUCKET=in",
            "OUTPUTS_BUCKET=out",
            "QUICK_DEPLOY_BUCKET=qd",
            "INPUT_ZIP_NAME=my folder/a.zip",
            "ROOT_INPUT_NAME=/mnt/root/u/input",
            "ROOT_OUTPUT_NAME=/mnt/root/u/output",
            "ALLOW_DOCKER_ACCESS=False",
            "IS_INVOKED=False",
            "USES_EFS=False",
            "USES_LUSTRE=False",
            "SHEPARD_CHECKPOINT=/mnt/root/u/checkpoint",
        ];
        assert_eq!(lines(&least), expected);
    }

    #[test]
    fn filesystems_and_the_limit_have_their_place() {
        let all = environment(
            r#"{"QUICK_DEPLOY_BUCKET":"mine","TAG":7,"SHEPARD_CHECKPOINT":"/etc"}"#,
            &[("USES_EFS", "True"), ("USES_LUSTRE", "True"), ("ULIMIT_FILENO", "99")],
        );
        let all = lines(&all);
        assert_eq!(all[0], "TAG=7");
        assert_eq!(all.iter().filter(|line| line.starts_with("QUICK_DEPLOY_BUCKET=")).count(), 1);
        assert!(all.contains(&"QUICK_DEPLOY_BUCKET=qd".to_owned()));
        let expected = [
            "USES_EFS=True",
            "EFS_INPUT_NAME=/mnt/efs/u/input",
            "EFS_OUTPUT_NAME=/mnt/efs/u/output",
            "EFS_READ_ONLY_PATH=/mnt/efs/read_only",
            "USES_LUSTRE=True",
            "LUSTRE_INPUT_NAME=/mnt/fsx/u/input",
            "LUSTRE_OUTPUT_NAME=/mnt/fsx/u/output",
            "LUSTRE_READ_ONLY_PATH=/mnt/fsx/read_only",
            "ULIMIT_FILENO=99",
            "SHEPARD_CHECKPOINT=/mnt/root/u/checkpoint",
        ];
        assert_eq!(all[all.len() - expected.len()..], expected);
    }

    #[test]
    fn a_job_by_api_names_no_zip() {
        let all = environment("{}", &[("INPUT_ZIP_NAME", "None"), ("IS_INVOKED", "True")]);
        let all = lines(&all);
        assert!(
            all.contains(&"INPUT_ZIP_NAME=None".to_owned()) && all.contains(&"IS_INVOKED=True".to_owned())
        );
    }
}
