//! The one table of actions. Keys, help, the palette, `docs/keys.md` and `--read-only` all come from it.
//!
//! An action is declared here once; what it does is a `match` arm in the screen that owns its scope. Nothing else
//! in the program spells out a key.

use serde::{Deserialize, Serialize};

/// Where an action can be used. A screen names its own scope and the ones it shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everywhere but in a form or an input line.
    Global,
    /// Wherever there is a table.
    Table,
    /// Wherever there is text to scroll.
    Text,
    /// The list of flocks.
    Flocks,
    /// One flock.
    Flock,
    /// What was deployed to a flock.
    Releases,
    /// Profiles of the old command.
    Profiles,
    /// What a stack is made of.
    Stack,
    /// What happens to a stack.
    StackEvents,
    /// What a change set would do.
    StackChanges,
    /// What a stack owns, before it is torn down.
    StackDown,
    /// The form of a stack's settings.
    StackForm,
    /// The jobs of a flock.
    Jobs,
    /// One job.
    Job,
    /// The log of a job.
    Logs,
    /// The journal.
    Journal,
    /// Forms: keys that type go to the field.
    Form,
}

impl Scope {
    /// Every scope, in the order in which help shows them.
    pub const ALL: [Self; 17] = [
        Self::Global,
        Self::Table,
        Self::Text,
        Self::Flocks,
        Self::Flock,
        Self::Releases,
        Self::Profiles,
        Self::Stack,
        Self::StackEvents,
        Self::StackChanges,
        Self::StackDown,
        Self::StackForm,
        Self::Jobs,
        Self::Job,
        Self::Logs,
        Self::Journal,
        Self::Form,
    ];

    /// Its title in help and in the docs.
    pub fn title(self) -> &'static str {
        match self {
            Self::Global => "Everywhere",
            Self::Table => "In a table",
            Self::Text => "In a text",
            Self::Flocks => "Flocks",
            Self::Flock => "One flock",
            Self::Releases => "Releases",
            Self::Profiles => "Profiles of the old command",
            Self::Stack => "One stack",
            Self::StackEvents => "Events of a stack",
            Self::StackChanges => "Changes of a stack",
            Self::StackDown => "Tearing a stack down",
            Self::StackForm => "In the settings of a stack",
            Self::Jobs => "Jobs",
            Self::Job => "One job",
            Self::Logs => "Logs",
            Self::Journal => "Journal",
            Self::Form => "In a form",
        }
    }
}

/// What an action may do to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Looks, and changes nothing but the screen.
    Look,
    /// Changes the flock. Absent with `--read-only`.
    Change,
    /// Destroys something or stops it: asks first, and is absent with `--read-only`.
    Danger,
}

/// The declaration of one action.
#[derive(Debug)]
pub struct Spec {
    /// Which.
    pub action: Action,
    /// Its name in `keys.toml`, the palette and the docs.
    pub name: &'static str,
    /// Where it can be used.
    pub scope: Scope,
    /// Its keys, unless `keys.toml` says otherwise.
    pub keys: &'static [&'static str],
    /// One or two words for the line of hints at the bottom; empty where it does not belong there.
    pub hint: &'static str,
    /// A line for help.
    pub help: &'static str,
    /// What it may do.
    pub reach: Reach,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $action:ident = $name:literal, $scope:ident, [$($key:literal),*], $hint:literal, $help:literal, $reach:ident;)*) => {
        /// Everything a key, the palette or the mouse can ask for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Action {
            $(#[doc = $help] $action,)*
        }

        /// The table, in the order in which help shows it.
        pub const ACTIONS: &[Spec] = &[
            $(Spec {
                action: Action::$action,
                name: $name,
                scope: Scope::$scope,
                keys: &[$($key),*],
                hint: $hint,
                help: $help,
                reach: Reach::$reach,
            },)*
        ];
    };
}

actions! {
    Help = "help", Global, ["?"], "help", "Show every key that works here", Look;
    CommandBar = "command", Global, [":"], "command", "Open the command bar: views, flocks, actions", Look;
    ActionsMenu = "actions", Global, ["x"], "actions", "Pick from the actions of this screen", Look;
    Out = "out", Global, ["esc"], "back", "One layer out; never quits", Look;
    Back = "back", Global, ["q"], "", "One layer out; at the outermost, ask to quit", Look;
    HistoryBack = "history-back", Global, ["["], "", "The screen shown before this one", Look;
    HistoryForward = "history-forward", Global, ["]"], "", "Forward again", Look;
    LastScreen = "last-screen", Global, ["-"], "", "Switch between the last two screens", Look;
    Refresh = "refresh", Global, ["r"], "", "Read everything on this screen anew", Look;
    Profiles = "aws-profiles", Global, ["p"], "", "Pick the profile of AWS that is looked with", Look;
    Regions = "aws-regions", Global, ["P"], "", "Pick the region of AWS that is looked at", Look;
    Renew = "renew", Global, ["."], "", "Renew the session with AWS", Look;
    Mouse = "mouse", Global, ["m"], "", "Mouse: scroll and select here, or the terminal's", Look;
    Redraw = "redraw", Global, ["ctrl-l"], "", "Draw the whole screen anew", Look;
    Suspend = "suspend", Global, ["ctrl-z"], "", "Into the background; fg brings it back", Look;
    Interrupt = "interrupt", Global, ["ctrl-c"], "", "Cancel what is under way; twice quits", Look;

    Down = "down", Table, ["j", "down"], "", "Next row", Look;
    Up = "up", Table, ["k", "up"], "", "Row before", Look;
    PageDown = "page-down", Table, ["pgdn", "ctrl-f", "ctrl-d"], "", "A page down", Look;
    PageUp = "page-up", Table, ["pgup", "ctrl-u"], "", "A page up", Look;
    First = "first", Table, ["g", "home"], "", "First row", Look;
    Last = "last", Table, ["G", "end"], "", "Last row", Look;
    Open = "open", Table, ["enter"], "open", "Into the row", Look;
    Filter = "filter", Table, ["/"], "filter", "Filter the rows as you type", Look;
    Sort = "sort", Table, ["s"], "sort", "Sort by the next column", Look;
    SortReverse = "sort-reverse", Table, ["S"], "", "Turn the order round", Look;
    Wide = "wide", Table, ["W"], "", "Show all columns, or only the important ones", Look;
    ScrollLeft = "scroll-left", Table, ["left"], "", "Columns to the left", Look;
    ScrollRight = "scroll-right", Table, ["right"], "", "Columns to the right", Look;

    TextDown = "text-down", Text, ["j", "down"], "", "A line down", Look;
    TextUp = "text-up", Text, ["k", "up"], "", "A line up", Look;
    TextPageDown = "text-page-down", Text, ["pgdn", "ctrl-f", "ctrl-d", "space"], "", "A page down", Look;
    TextPageUp = "text-page-up", Text, ["pgup", "ctrl-u"], "", "A page up", Look;
    TextFirst = "text-first", Text, ["g", "home"], "", "To the beginning", Look;
    TextLast = "text-last", Text, ["G", "end"], "", "To the end", Look;
    TextLeft = "text-left", Text, ["h", "left"], "", "To the left", Look;
    TextRight = "text-right", Text, ["l", "right"], "", "To the right", Look;

    FlockNew = "flock-new", Flocks, ["a"], "new", "Create a flock on this machine", Change;
    FlockBatch = "flock-batch", Flocks, ["b"], "batch", "Batch a folder into this flock", Change;
    FlockSecrets = "flock-secrets", Flocks, ["K"], "", "Secrets by name, and pushing a folder of them", Change;
    FlockDeploy = "flock-deploy", Flocks, ["D"], "deploy", "Deploy a folder or an image to this flock", Change;
    FlockReleases = "flock-releases", Flocks, ["v"], "", "What was deployed to it, and going back to it", Look;
    FlockStart = "flock-start", Flocks, ["z"], "start/stop", "Start the flock's supervisor, or stop it", Change;
    FlockDescribe = "flock-describe", Flocks, ["d"], "", "Where the flock keeps its things, and its settings", Look;
    FlockRedrive = "flock-redrive", Flocks, ["Q"], "", "Move its dead letters back into the queue (asks)", Change;
    FlockQuickDeploy = "flock-quick-deploy", Flocks, ["u"], "", "Put a folder with a run.sh where its jobs find it", Change;
    FlockApi = "flock-api", Flocks, ["J"], "", "Make jobs of JSON, without an upload", Change;
    FlockRemove = "flock-remove", Flocks, ["X"], "", "Remove the flock, or tear its stack down (asks)", Danger;
    FlockStandUp = "stand-up", Flocks, ["A"], "stand up", "Stand up a flock on AWS", Change;
    FlockProfiles = "profiles", Flocks, ["O"], "", "Profiles of the old command", Look;
    FlockEvents = "flock-events", Flocks, ["e"], "", "What happens to the flock's stack, as it happens", Look;
    FlockUpdate = "flock-update", Flocks, ["U"], "", "Change the settings of its stack, after a preview", Change;

    DescribeDeploy = "describe-deploy", Flock, ["D"], "deploy", "Deploy a folder or an image to this flock", Change;
    DescribeReleases = "describe-releases", Flock, ["v"], "releases", "What was deployed to it, and going back to it", Look;

    RollBack = "roll-back", Releases, ["R", "enter"], "roll back", "Go back, or on, to this release (asks)", Change;
    ReleasesDeploy = "releases-deploy", Releases, ["D"], "deploy", "Deploy a folder or an image to this flock", Change;
    Repository = "repository", Releases, ["u"], "repository", "The releases of a repository, or the flock's own again", Look;
    CopyImage = "copy-image", Releases, ["c"], "", "Copy the digest or id of the release", Look;

    ProfileSet = "profile-set", Profiles, ["s"], "current", "Make it the current one, or none", Look;
    ProfileEdit = "profile-edit", Profiles, ["enter", "e"], "change", "Change what it says", Look;
    ProfileNew = "profile-new", Profiles, ["a"], "new", "Make a profile", Look;
    ProfileDelete = "profile-delete", Profiles, ["X"], "remove", "Remove it (asks)", Look;
    ProfileCopy = "profile-copy", Profiles, ["c"], "", "Copy the directory that they are in", Look;

    StackNextPane = "stack-next-pane", Stack, ["tab"], "pane", "Next pane", Look;
    StackPreviousPane = "stack-previous-pane", Stack, ["backtab"], "", "Pane before", Look;
    StackPane1 = "stack-pane-1", Stack, ["1"], "", "Resources", Look;
    StackPane2 = "stack-pane-2", Stack, ["2"], "", "Outputs", Look;
    StackPane3 = "stack-pane-3", Stack, ["3"], "", "Parameters", Look;
    StackCopy = "stack-copy", Stack, ["c"], "copy", "Copy the name or value under the cursor", Look;
    StackCopyArn = "stack-copy-arn", Stack, ["C"], "copy ARN", "Copy the ARN of the stack", Look;
    StackShowEvents = "stack-events", Stack, ["e"], "events", "What happens to it, as it happens", Look;
    StackUpdate = "stack-update", Stack, ["U"], "update", "Change its settings, after a preview", Change;
    StackTearDown = "stack-tear-down", Stack, ["X"], "tear down", "See what it owns, and tear it down (asks for its name)", Danger;

    EventsFaults = "events-faults", StackEvents, ["!"], "faults", "Only what failed, or everything again", Look;
    EventsCopy = "events-copy", StackEvents, ["c"], "copy", "Copy the id of the resource under the cursor", Look;
    EventsDescribe = "events-describe", StackEvents, ["d"], "describe", "What the stack is made of", Look;
    EventsTearDown = "events-tear-down", StackEvents, ["X"], "", "See what it owns, and tear it down (asks for its name)", Danger;

    ChangesAccept = "changes-accept", StackChanges, ["a"], "accept", "Carry the change set out (asks)", Danger;
    ChangesReject = "changes-reject", StackChanges, ["R"], "reject", "Throw the change set away", Change;

    DownData = "down-data", StackDown, ["t", "space"], "data too", "What people put there goes too, or is kept", Change;
    DownGo = "down-go", StackDown, ["X"], "tear down", "Tear it down, or go on with that (asks for its name)", Danger;
    DownEvents = "down-events", StackDown, ["e"], "events", "What happens to the stack, as it happens", Look;

    FormFind = "form-find", StackForm, ["ctrl-f", "/"], "find", "Find a setting by its name or what is said of it", Look;
    FormUsual = "form-usual", StackForm, ["ctrl-r"], "as usual", "The setting as it is where nobody says otherwise", Look;

    Mark = "mark", Jobs, ["space"], "mark", "Mark the row, or unmark it, and go down", Look;
    MarkRange = "mark-range", Jobs, ["V"], "", "Mark from the last marked row to this one", Look;
    MarkAll = "mark-all", Jobs, ["*"], "", "Mark every row the filter shows", Look;
    Unmark = "unmark", Jobs, ["u"], "", "Take all marks away", Look;
    Faults = "faults", Jobs, ["!"], "faults", "Only what failed or was rejected, or everything again", Look;
    Why = "why", Jobs, ["w"], "why", "What failed, grouped by its reason", Look;
    JobsLogs = "logs", Jobs, ["l"], "logs", "The job's log", Look;
    JobsDescribe = "describe", Jobs, ["d"], "", "The job's timeline, attempts and environment", Look;
    JobsBatch = "batch", Jobs, ["b"], "batch", "Batch a folder into this flock", Change;
    JobsSecrets = "secrets", Jobs, ["K"], "", "Secrets by name, and pushing a folder of them", Change;
    JobsStart = "start-stop", Jobs, ["z"], "", "Start the flock's supervisor, or stop it", Change;
    JobsRetry = "retry", Jobs, ["R"], "retry", "Run the job, or the marked ones, again", Change;
    JobsTerminate = "terminate", Jobs, ["X"], "terminate", "Stop the job, or the marked ones (asks)", Danger;
    JobsDeploy = "deploy", Jobs, ["D"], "deploy", "Deploy a folder or an image to this flock", Change;
    JobsReleases = "releases", Jobs, ["v"], "", "What was deployed to it, and going back to it", Look;
    JobsOutputs = "outputs", Jobs, ["o"], "results", "Fetch the results into a folder", Look;
    CopyId = "copy-id", Jobs, ["c"], "", "Copy the job's id", Look;
    CopyInput = "copy-input", Jobs, ["C"], "", "Copy the input's key", Look;

    NextPane = "next-pane", Job, ["tab"], "pane", "Next pane", Look;
    PreviousPane = "previous-pane", Job, ["backtab"], "", "Pane before", Look;
    Pane1 = "pane-1", Job, ["1"], "", "Overview and timeline", Look;
    Pane2 = "pane-2", Job, ["2"], "", "Environment", Look;
    Pane3 = "pane-3", Job, ["3"], "", "Attempts", Look;
    Pane4 = "pane-4", Job, ["4"], "", "Outputs", Look;
    Pane5 = "pane-5", Job, ["5", "y"], "", "The row as JSON", Look;
    JobLogs = "job-logs", Job, ["enter", "L"], "logs", "The job's log", Look;
    JobOutputs = "job-outputs", Job, ["o"], "results", "Fetch the results into a folder", Look;
    JobRetry = "job-retry", Job, ["R"], "retry", "Run the job again", Change;
    JobTerminate = "job-terminate", Job, ["X"], "terminate", "Stop the job (asks)", Danger;
    JobCopyId = "job-copy-id", Job, ["c"], "", "Copy the job's id", Look;

    Follow = "follow", Logs, ["f"], "follow", "Follow the end, or stay", Look;
    Wrap = "wrap", Logs, ["w"], "wrap", "Wrap long lines, or cut them", Look;
    Timestamps = "timestamps", Logs, ["t"], "time", "Timestamps: short, full, off", Look;
    Pretty = "pretty", Logs, ["p"], "", "Spread JSON lines out", Look;
    Search = "search", Logs, ["/"], "search", "Search the log", Look;
    NextMatch = "next-match", Logs, ["n"], "", "Next match", Look;
    PreviousMatch = "previous-match", Logs, ["N"], "", "Match before", Look;
    MatchesOnly = "matches-only", Logs, ["x"], "", "Only the lines that match, or all", Look;
    Zoom = "zoom", Logs, ["z", "enter"], "", "The line under the cursor alone, whole", Look;
    JumpToTime = "jump-to-time", Logs, ["@"], "", "Jump to a time", Look;
    SaveLog = "save-log", Logs, [">"], "save", "Save the log to a file", Look;
    SinceAll = "since-all", Logs, ["0"], "", "The whole log", Look;
    Since1m = "since-1m", Logs, ["1"], "", "The last minute, or 200 lines if more", Look;
    Since5m = "since-5m", Logs, ["2"], "", "The last 5 minutes, or 200 lines if more", Look;
    Since15m = "since-15m", Logs, ["3"], "", "The last 15 minutes, or 200 lines if more", Look;
    Since1h = "since-1h", Logs, ["4"], "", "The last hour, or 200 lines if more", Look;
    LogAttempt = "log-attempt", Logs, ["tab"], "", "The log of the job's next attempt", Look;
    CopyLine = "copy-line", Logs, ["c"], "", "Copy the line under the cursor", Look;

    JournalCopy = "journal-copy", Journal, ["c"], "copy", "Copy the command line that does the same", Look;

    Complete = "complete", Form, ["tab"], "complete, next", "Complete what is typed, or go to the next field", Look;
    NextField = "next-field", Form, ["down"], "", "Next field", Look;
    PreviousField = "previous-field", Form, ["backtab", "up"], "", "Field before", Look;
    FormPageDown = "form-page-down", Form, ["pgdn"], "", "A page down in what is shown below the fields", Look;
    FormPageUp = "form-page-up", Form, ["pgup"], "", "A page up in what is shown below the fields", Look;
    Submit = "submit", Form, ["enter"], "go", "Do it", Look;
    Cancel = "cancel", Form, ["esc", "ctrl-c"], "cancel", "Leave the form; nothing is done", Look;
}

impl Action {
    /// Its declaration.
    pub fn spec(self) -> &'static Spec {
        // The table and the enum are made by one macro, in one order.
        &ACTIONS[self as usize]
    }

    /// The action of that name.
    pub fn named(name: &str) -> Option<Self> {
        ACTIONS.iter().find(|spec| spec.name == name).map(|spec| spec.action)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::app::key::Key;

    #[test]
    fn the_table_and_the_enum_agree_and_names_are_unique() {
        let mut names = HashSet::new();
        for spec in ACTIONS {
            assert_eq!(spec.action.spec().name, spec.name);
            assert!(names.insert(spec.name), "{} twice", spec.name);
            assert!(!spec.help.is_empty());
        }
    }

    #[test]
    fn no_key_that_a_multiplexer_or_a_terminal_eats_is_the_only_one() {
        const EATEN: [&str; 8] =
            ["ctrl-a", "ctrl-b", "ctrl-s", "ctrl-q", "ctrl-h", "ctrl-i", "ctrl-j", "ctrl-m"];
        for spec in ACTIONS {
            let usable = spec.keys.iter().filter(|key| !EATEN.contains(key) && !key.starts_with("alt-"));
            assert!(usable.count() > 0, "{} has only keys that never arrive", spec.name);
            for key in spec.keys {
                assert!(key.parse::<Key>().is_ok(), "{key}");
            }
        }
    }

    #[test]
    fn nothing_dangerous_is_on_d_or_on_enter() {
        for spec in ACTIONS.iter().filter(|spec| spec.reach == Reach::Danger) {
            assert!(!spec.keys.iter().any(|key| ["d", "enter", "delete"].contains(key)), "{}", spec.name);
        }
    }
}
