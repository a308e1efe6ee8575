//! The adapters of AWS: the only importer of its SDK.
