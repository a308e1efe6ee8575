//! What can be wrong with an archive, in words for whoever uploaded it.

use shepard_model::inputs::MAX_BYTES;

use super::MAX_DIRECTORY;

/// Why no `inputs.txt` came out of an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZipProblem {
    /// Nothing in the object.
    #[error("the upload is empty (0 bytes)")]
    Empty,
    /// No sign of a zip.
    #[error("the upload is not a zip archive")]
    NotAZip,
    /// Begins as a zip and lacks the end.
    #[error(
        "the zip archive is cut short: its end is missing, so the upload was probably interrupted; upload it again"
    )]
    Truncated,
    /// Split over several files.
    #[error("the zip archive is split over several files; make one file of it")]
    ManyDisks,
    /// The directory is larger than is read.
    #[error(
        "the zip archive's directory takes {0} bytes; at most {MAX_DIRECTORY} are read, so pack fewer files"
    )]
    DirectoryTooLarge(u64),
    /// The end record points outside of the archive.
    #[error(
        "the zip archive is damaged: its directory should be {size} bytes at {offset}, which does not fit into the {total} bytes of the upload"
    )]
    DirectoryOutside {
        /// Where it should be.
        offset: u64,
        /// How large.
        size: u64,
        /// Size of the object.
        total: u64,
    },
    /// The end record points at something else.
    #[error("the zip archive is damaged: there is no directory where its end says")]
    NoDirectory,
    /// An entry of the directory is not one.
    #[error("the zip archive is damaged: entry {0} of its directory cannot be read")]
    BadEntry(u64),
    /// The number of entries is not the one stated.
    #[error("the zip archive is damaged: its directory does not hold as many entries as it says")]
    Counts,
    /// zip64 is announced and missing.
    #[error("the zip archive is damaged: its zip64 record is missing or broken")]
    Zip64,
    /// More was asked for than may be read.
    #[error("the zip archive is damaged: finding its directory would take reading too much of it")]
    TooMuch,
    /// An archive of nothing.
    #[error("the zip archive holds no files")]
    NoEntries,
    /// No `inputs.txt` at all.
    #[error("the zip archive holds no inputs.txt at its top level")]
    NoInputs,
    /// One level too deep: the folder was zipped, not its content.
    #[error("inputs.txt is inside the folder '{0}/': zip the folder's content, not the folder")]
    InFolder(String),
    /// The right name in the wrong case.
    #[error("the zip archive holds '{0}', but the name must be exactly inputs.txt, in lower case")]
    OtherCase(String),
    /// Needs a password.
    #[error("inputs.txt is encrypted; zip it without a password")]
    Encrypted,
    /// A method that is not read.
    #[error("inputs.txt is compressed with {0}; only deflate and stored can be read")]
    Method(String),
    /// Larger than may be.
    #[error("inputs.txt is {0} bytes; at most {MAX_BYTES} are allowed")]
    TooLarge(u64),
    /// It overlaps the directory, or lies outside.
    #[error("the zip archive is damaged: inputs.txt does not lie where its directory says, or overlaps it")]
    Outside,
    /// Nothing like a file where it should be.
    #[error("the zip archive is damaged: there is no file where its directory says inputs.txt is")]
    NoLocalHeader,
    /// Another file where it should be.
    #[error("the zip archive is damaged: another file lies where its directory says inputs.txt is")]
    OtherName,
    /// The compressed data is not deflate, or ends early.
    #[error("the zip archive is damaged: inputs.txt cannot be decompressed")]
    Data,
    /// It inflates to another size than stated: damage, or a bomb.
    #[error("the zip archive is damaged: inputs.txt does not have the {0} bytes that its directory says")]
    Size(u64),
    /// The checksum is wrong.
    #[error("the zip archive is damaged: the checksum of inputs.txt is wrong")]
    Checksum,
}

impl ZipProblem {
    /// What was taken for the end record may not have been it: another candidate may do better.
    pub(super) fn blames_the_ending(&self) -> bool {
        matches!(
            self,
            Self::ManyDisks
                | Self::DirectoryTooLarge(_)
                | Self::DirectoryOutside { .. }
                | Self::NoDirectory
                | Self::BadEntry(_)
                | Self::Counts
                | Self::Zip64
        )
    }
}
