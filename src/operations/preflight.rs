//! Looking at what is to be batched before anything is done: which jobs there would be, what is wrong with them,
//! and what is odd about them.
//!
//! It reads and decides; it changes nothing. What it refuses would be rejected by the scheduler as well, only later
//! and further away. Everything here blocks: call it from a thread that may.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use shepard_cloud::local::Settings;
use shepard_cloud::{Kind, Ports};
use shepard_lambdas::zip::read_inputs_of_file;
use shepard_model::{Inputs, ObjectRef, Value, inputs, keywords};

use super::error::{OperationError, Result};
use super::walk::walk;

/// Above this many bytes a job is worth a remark.
const LARGE: u64 = 2 * 1024 * 1024 * 1024;
/// Contents are compared up to this many bytes a job; larger jobs are never called duplicates.
const COMPARED: u64 = 64 * 1024 * 1024;

/// What a job is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A folder, to be zipped.
    Folder,
    /// A zip, to be taken as it is.
    Zip,
}

/// One job that would be batched, or the reason why it would not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The folder or zip.
    pub path: PathBuf,
    /// Its name, for people.
    pub name: String,
    /// Which of the two.
    pub source: Source,
    /// Files in it; 1 for a zip.
    pub files: u64,
    /// Bytes of them, unpacked where it is a folder.
    pub bytes: u64,
    /// How many variables its `inputs.txt` has.
    pub variables: usize,
    /// The tag its results will have.
    pub tag: Option<String>,
    /// The quick-deploy folder it asks for.
    pub quick_deploy: Option<String>,
    /// The `inputs.txt` to send where it is not the one that is there.
    pub inputs: Option<String>,
    /// The key to upload it under; None makes one from its name.
    pub key: Option<String>,
    /// Why it cannot be a job.
    pub refused: Option<String>,
    /// What is odd and no hindrance.
    pub warnings: Vec<String>,
}

/// Everything a batch would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The jobs, by name.
    pub jobs: Vec<Candidate>,
    /// What is odd about all of it together.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Gives its only job a key of the caller's, with `.zip` at its end.
    ///
    /// # Errors
    /// It has several jobs, or the key is empty.
    pub fn name(&mut self, key: &str) -> Result<()> {
        match self.jobs.as_mut_slice() {
            [job] if !key.is_empty() => {
                let end = if key.ends_with(".zip") { "" } else { ".zip" };
                job.key = Some(format!("{key}{end}"));
                Ok(())
            }
            [_] => Err(OperationError::Usage("the key of an upload cannot be empty".into())),
            jobs => Err(OperationError::Usage(format!(
                "a key is of one job, and there are {}; batch them one by one",
                jobs.len()
            ))),
        }
    }

    /// Jobs that can be batched.
    pub fn accepted(&self) -> impl Iterator<Item = &Candidate> {
        self.jobs.iter().filter(|job| job.refused.is_none())
    }

    /// Bytes of them.
    pub fn bytes(&self) -> u64 {
        self.accepted().map(|job| job.bytes).sum()
    }
}

/// What is to be examined, and how it differs from what is there.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// A folder with an `inputs.txt`, a folder of such folders and zips, or a zip.
    pub path: PathBuf,
    /// Replaces the tag of `inputs.txt`.
    pub tag: Option<String>,
    /// JSON text to take as the `inputs.txt` of a folder that has none and holds no folders that have one.
    pub default_inputs: Option<String>,
}

/// Examines a folder or zip.
///
/// # Errors
/// A path that is not there or holds no job at all, or a tag that cannot be one. What is wrong with a single job
/// among others is in its [`Candidate::refused`].
pub fn examine(request: &Request) -> Result<Plan> {
    let path = &request.path;
    if let Some(tag) = &request.tag {
        inputs::check_tag(tag).map_err(|error| OperationError::Usage(error.to_string()))?;
    }
    let about = fs::metadata(path).map_err(OperationError::io("batch", path))?;
    let mut plan = Plan::default();
    if about.is_file() {
        plan.jobs.push(zip(path, request));
    } else if path.join("inputs.txt").exists() {
        plan.jobs.push(folder(path, request, None));
    } else {
        several(path, request, &mut plan)?;
    }
    mark_duplicates(&mut plan.jobs);
    Ok(plan)
}

/// What a flock runs where a job names nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The flock's name.
    pub flock: String,
    /// Its quick-deploy folder.
    pub quick_deploy: Option<String>,
    /// It has a command or an image.
    pub has_own: bool,
}

impl Payload {
    /// That of a flock of this machine.
    pub fn of(settings: &Settings) -> Self {
        Self {
            flock: settings.name.clone(),
            quick_deploy: settings.quick_deploy.clone(),
            has_own: settings.command.is_some() || settings.image.is_some(),
        }
    }
}

/// Adds what only the flock knows: whether there is something that would run each job.
///
/// # Errors
/// The quick-deploy bucket cannot be listed.
pub async fn against_flock(plan: &mut Plan, ports: &Ports, payload: &Payload) -> Result<()> {
    let mut known: HashMap<String, bool> = HashMap::new();
    for job in plan.jobs.iter_mut().filter(|job| job.refused.is_none()) {
        let Some(folder) = job.quick_deploy.clone().or_else(|| payload.quick_deploy.clone()) else {
            if !payload.has_own {
                job.warnings.push(format!(
                    "nothing would run it: the flock {} has no command, no image and no quick-deploy folder, and its \
                     inputs.txt names no QUICK_DEPLOY_DIRECTORY",
                    payload.flock
                ));
            }
            continue;
        };
        if ports.buckets.quick_deploy.is_empty() {
            job.warnings.push(format!(
                "whether {folder}/run.sh is there is not known: no quick-deploy bucket is named"
            ));
            continue;
        }
        let there = match known.get(&folder) {
            Some(there) => *there,
            None => {
                let run = ObjectRef::new(&ports.buckets.quick_deploy, format!("{folder}/run.sh"));
                let there = match ports.objects.head(&run).await {
                    Ok(_) => true,
                    Err(error) if error.kind == Kind::NotFound => false,
                    Err(error) => return Err(error.into()),
                };
                known.insert(folder.clone(), there);
                there
            }
        };
        if !there {
            job.warnings
                .push(format!("it asks for {folder}/run.sh, which is not in the quick-deploy bucket"));
        }
    }
    Ok(())
}

/// A folder that is no job itself: the folders and zips in it.
fn several(path: &Path, request: &Request, plan: &mut Plan) -> Result<()> {
    let read = || OperationError::io("read", path);
    let mut children = Vec::new();
    for entry in fs::read_dir(path).map_err(read())? {
        children.push(entry.map_err(read())?.path());
    }
    children.sort();
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let (mut stray, mut found) = (0, false);
    for child in children.into_iter().filter(|child| !hidden(child)) {
        if child.is_dir() {
            found |= child.join("inputs.txt").exists();
            plan.jobs.push(folder(&child, request, None));
        } else if child.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip")) {
            found = true;
            plan.jobs.push(zip(&child, request));
        } else {
            stray += 1;
        }
    }
    if !found {
        plan.jobs.clear();
        let Some(text) = &request.default_inputs else {
            return Err(OperationError::NotFound(format!(
                "there is no inputs.txt in {}, and no zip and no folder with an inputs.txt in it; a job is a folder \
                 with an inputs.txt, which holds one JSON object of variables (`{{}}` will do)",
                path.display()
            )));
        };
        plan.jobs.push(folder(path, request, Some(text)));
    } else if stray > 0 {
        plan.warnings
            .push(format!("{stray} file(s) directly in {} belong to no job and stay behind", path.display()));
    }
    Ok(())
}

fn blank(path: &Path, source: Source) -> Candidate {
    let name = path.file_name().map_or_else(
        || {
            path.canonicalize()
                .ok()
                .and_then(|real| real.file_name().map(|name| name.to_string_lossy().into_owned()))
        },
        |name| Some(name.to_string_lossy().into_owned()),
    );
    Candidate {
        path: path.to_owned(),
        name: name.unwrap_or_else(|| path.display().to_string()),
        source,
        files: 0,
        bytes: 0,
        variables: 0,
        tag: None,
        quick_deploy: None,
        inputs: None,
        key: None,
        refused: None,
        warnings: Vec::new(),
    }
}

fn folder(path: &Path, request: &Request, default_inputs: Option<&String>) -> Candidate {
    let mut job = blank(path, Source::Folder);
    let result = (|| {
        let bytes = match default_inputs {
            Some(text) => text.clone().into_bytes(),
            None => inputs_bytes(path)?,
        };
        let inputs = Inputs::parse(&bytes).map_err(|error| error.to_string())?;
        accept(&mut job, inputs, request, default_inputs.is_some())?;
        let mut counted = (0, 0);
        walk(path, &mut |entry| {
            if !entry.is_dir {
                counted.0 += 1;
                counted.1 += entry.size;
                // Opened, not only looked at: what cannot be read must be known before anything is sent.
                fs::File::open(&entry.path)
                    .map_err(|error| format!("{} cannot be read: {error}", entry.name))?;
            }
            Ok(())
        })?;
        (job.files, job.bytes) = counted;
        Ok(())
    })();
    job.refused = result.err();
    if job.bytes > LARGE {
        job.warnings.push(format!("it holds {} MB", job.bytes / 1_000_000));
    }
    job
}

/// The bytes of a folder's `inputs.txt`, no more of them than are allowed.
fn inputs_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let file = path.join("inputs.txt");
    let about = fs::metadata(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no inputs.txt in it".to_owned(),
        _ => format!("inputs.txt cannot be read: {error}"),
    })?;
    if !about.is_file() {
        return Err("inputs.txt is not a file".to_owned());
    }
    bounded(fs::File::open(&file).map_err(|error| format!("inputs.txt cannot be read: {error}"))?)
}

fn bounded(from: impl std::io::Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    from.take(inputs::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("inputs.txt cannot be read: {error}"))?;
    Ok(bytes)
}

fn zip(path: &Path, request: &Request) -> Candidate {
    let mut job = blank(path, Source::Zip);
    job.files = 1;
    job.bytes = fs::metadata(path).map(|about| about.len()).unwrap_or(0);
    let result = (|| {
        // The scheduler's own reader, so that what passes here passes there.
        let inputs = read_inputs_of_file(path).map_err(|error| error.to_string())?;
        accept(&mut job, inputs, request, false)
    })();
    job.refused = result.err();
    job
}

fn accept(job: &mut Candidate, mut inputs: Inputs, request: &Request, rewrite: bool) -> Result<(), String> {
    if let Some(tag) = &request.tag {
        retag(&mut inputs, tag);
    }
    if request.tag.is_some() || rewrite {
        let text = to_json(&inputs);
        if text.len() > inputs::MAX_BYTES {
            return Err(inputs::InputsError::TooLarge(text.len() as u64).to_string());
        }
        job.inputs = Some(text);
    }
    job.variables = inputs.variables.len();
    job.tag = inputs.tag;
    job.quick_deploy = inputs.quick_deploy;
    Ok(())
}

/// Puts a tag in the place of any that is there, whatever its case.
fn retag(inputs: &mut Inputs, tag: &str) {
    inputs.variables.retain(|(name, _)| !name.eq_ignore_ascii_case(keywords::TAG));
    inputs.variables.push((keywords::TAG.to_owned(), Value::String(tag.to_owned())));
    inputs.tag = (!tag.is_empty()).then(|| tag.to_owned());
}

/// The JSON text of the variables; numbers keep the digits they were written with.
fn to_json(inputs: &Inputs) -> String {
    let members: Vec<String> = inputs
        .variables
        .iter()
        .map(|(name, value)| format!("  {}: {}", serde_json::Value::from(name.as_str()), value.to_json()))
        .collect();
    format!("{{\n{}\n}}\n", members.join(",\n"))
}

/// Says of each job whose content another one has as well. Contents are read only where all sizes agree.
fn mark_duplicates(jobs: &mut [Candidate]) {
    let mut alike: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
    for (index, job) in jobs.iter().enumerate() {
        if job.refused.is_none() && job.bytes <= COMPARED {
            alike.entry((job.files, job.bytes)).or_default().push(index);
        }
    }
    for group in alike.into_values().filter(|group| group.len() > 1) {
        let mut first: HashMap<[u8; 32], usize> = HashMap::new();
        for index in group {
            let Some(digest) = digest(&jobs[index]) else { continue };
            match first.get(&digest) {
                Some(earlier) => {
                    let warning = format!("its content is the same as that of {}", jobs[*earlier].name);
                    jobs[index].warnings.push(warning);
                }
                None => {
                    first.insert(digest, index);
                }
            }
        }
    }
}

/// A digest of names and contents; None where a file went away meanwhile, which packing will report.
fn digest(job: &Candidate) -> Option<[u8; 32]> {
    let mut hash = Sha256::new();
    let add = |hash: &mut Sha256, path: &Path| -> Result<(), String> {
        let mut file = fs::File::open(path).map_err(|error| error.to_string())?;
        let mut buffer = [0; 64 * 1024];
        loop {
            match file.read(&mut buffer).map_err(|error| error.to_string())? {
                0 => return Ok(()),
                read => hash.update(&buffer[..read]),
            }
        }
    };
    match job.source {
        Source::Zip => add(&mut hash, &job.path).ok()?,
        Source::Folder => walk(&job.path, &mut |entry| {
            hash.update((entry.name.len() as u64).to_le_bytes());
            hash.update(entry.name.as_bytes());
            hash.update(entry.size.to_le_bytes());
            if entry.is_dir { Ok(()) } else { add(&mut hash, &entry.path) }
        })
        .ok()?,
    }
    Some(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(jobs: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("temp dir");
        for (name, inputs) in jobs {
            fs::create_dir_all(dir.path().join(name)).expect("mkdir");
            fs::write(dir.path().join(name).join("inputs.txt"), inputs).expect("write");
        }
        dir
    }

    fn plan(path: &Path, tag: Option<&str>) -> Plan {
        let request = Request { path: path.to_owned(), tag: tag.map(str::to_owned), default_inputs: None };
        examine(&request).expect("examined")
    }

    #[test]
    fn a_folder_of_folders_is_as_many_jobs_and_a_bad_one_hinders_no_other() {
        let dir = tree(&[("a", "{}"), ("b", r#"{"uuid": 1}"#), ("c", "[1]"), (".git", "{}")]);
        fs::create_dir(dir.path().join("d")).expect("mkdir");
        fs::write(dir.path().join("notes.txt"), "x").expect("write");
        fs::write(dir.path().join("z.zip"), "not a zip").expect("write");
        let plan = plan(dir.path(), None);
        let seen: Vec<_> = plan.jobs.iter().map(|job| (job.name.as_str(), job.refused.is_some())).collect();
        assert_eq!(seen, [("a", false), ("b", true), ("c", true), ("d", true), ("z.zip", true)]);
        let says = |index: usize| plan.jobs[index].refused.clone().expect("refused");
        assert!(says(1).contains("reserved keyword"), "{}", says(1));
        assert!(says(3).contains("no inputs.txt"), "{}", says(3));
        assert!(says(4).contains("not a zip"), "{}", says(4));
        assert_eq!(plan.warnings.len(), 1, "the stray file is mentioned");
    }

    #[tokio::test]
    async fn a_job_that_names_nothing_is_run_by_a_command_or_by_an_image() {
        let home = tempfile::tempdir().expect("temp dir");
        let made = shepard_cloud::local::Home::new(home.path()).create(&Settings::named("a")).expect("made");
        let ports = shepard_cloud::local::LocalFlock::open(&made).expect("opened").ports();
        let dir = tree(&[("j", "{}")]);
        let warned = async |settings: Settings| {
            let mut plan = plan(&dir.path().join("j"), None);
            against_flock(&mut plan, &ports, &Payload::of(&settings)).await.expect("looked at");
            plan.jobs[0].warnings.iter().any(|said| said.starts_with("nothing would run it"))
        };
        let named = || Settings::named("a");
        assert!(warned(named()).await);
        assert!(!warned(Settings { command: Some(vec!["wc".into()]), ..named() }).await);
        assert!(!warned(Settings { image: Some("busybox".into()), ..named() }).await);
    }

    #[test]
    fn a_new_tag_replaces_the_old_one_in_any_case_and_touches_no_digit() {
        let dir =
            tree(&[("a", r#"{"x": 1.500, "Tag": "old", "n": 123456789012345678901234567890, "l": [0.10]}"#)]);
        let plan = plan(&dir.path().join("a"), Some("new/ä"));
        let text = plan.jobs[0].inputs.clone().expect("rewritten");
        assert!(text.contains("1.500") && text.contains("123456789012345678901234567890"), "{text}");
        assert!(text.contains("[0.10]") && !text.contains("old"), "{text}");
        let again = Inputs::parse(text.as_bytes()).expect("valid");
        assert_eq!(again.tag.as_deref(), Some("new/ä"));
        assert_eq!(plan.jobs[0].tag.as_deref(), Some("new/ä"));
    }

    #[test]
    fn the_same_content_twice_is_remarked_upon() {
        let dir = tree(&[("a", r#"{"x": 1}"#), ("b", r#"{"x": 2}"#), ("c", r#"{"x": 1}"#)]);
        let plan = plan(dir.path(), None);
        let warned: Vec<_> = plan.jobs.iter().map(|job| job.warnings.len()).collect();
        assert_eq!(warned, [0, 0, 1]);
        assert!(plan.jobs[2].warnings[0].contains("that of a"));
    }

    #[test]
    fn nothing_to_batch_is_an_error_that_says_what_a_job_is() {
        let dir = tempfile::tempdir().expect("temp dir");
        let request = Request { path: dir.path().to_owned(), ..Request::default() };
        let error = examine(&request).expect_err("nothing there").to_string();
        assert!(error.contains("no inputs.txt"), "{error}");
        let request = Request { path: dir.path().join("gone"), ..Request::default() };
        assert_eq!(examine(&request).expect_err("gone").class(), super::super::Class::NotFound);
        let request = Request { path: dir.path().to_owned(), tag: Some("../x".into()), ..Request::default() };
        assert_eq!(examine(&request).expect_err("bad tag").class(), super::super::Class::Usage);
    }

    #[test]
    fn any_folder_is_one_job_where_inputs_are_supplied() {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::write(dir.path().join("data"), "x").expect("write");
        let request = Request {
            path: dir.path().to_owned(),
            tag: None,
            default_inputs: Some(r#"{"DEMO": "tree"}"#.into()),
        };
        let plan = examine(&request).expect("examined");
        assert_eq!((plan.jobs.len(), plan.jobs[0].files, plan.jobs[0].inputs.is_some()), (1, 1, true));
    }
}
