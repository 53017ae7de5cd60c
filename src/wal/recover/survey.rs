//! [`Survey`]: what the directory holds, before anything is decided or changed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::format::verdict::{CookieState, Findings, Identity, SOUND, judge};
use crate::format::{
    Activation, ActivationFault, COOKIE_SIZE, Cookie, HeaderFault, MAX_MANIFEST_LEN, Manifest,
    ManifestFault, Prepared, Uuid, decode_activation, decode_prepared,
};
use crate::segment::{COOKIE, Directory, MANIFEST, Name, segment_name};
use crate::sys::{Access, DiskFile, FileId};

/// The names in a log's directory, sorted by what they stand for.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) has_manifest: bool,
    pub(crate) has_cookie: bool,
    pub(crate) segments: Vec<u32>,
    /// The names of holds.
    pub(crate) holds: Vec<String>,
    /// Our own files that were never finished.
    pub(crate) unfinished: Vec<String>,
    pub(crate) foreign: Vec<PathBuf>,
}

impl Survey {
    pub(crate) fn of(directory: &Directory) -> Result<Self> {
        let mut survey = Self::default();
        for name in directory.list()? {
            match Name::parse(&name) {
                Name::Lock => {}
                Name::Manifest => survey.has_manifest = true,
                Name::Cookie => survey.has_cookie = true,
                Name::Segment(id) => survey.segments.push(id),
                Name::Hold(name) => survey.holds.push(name),
                Name::Unfinished => survey.unfinished.extend(name.into_string()),
                Name::Foreign => survey.foreign.push(directory.path().join(name)),
            }
        }
        survey.segments.sort_unstable();
        survey.holds.sort_unstable();
        survey.foreign.sort_unstable();
        Ok(survey)
    }

    /// Whether nothing of a log is there.
    pub(crate) fn is_blank(&self) -> bool {
        !self.has_manifest && !self.has_cookie && self.segments.is_empty() && self.holds.is_empty()
    }
}

/// Reads and checks `MANIFEST`.
pub(crate) fn read_manifest(directory: &Directory) -> Result<Manifest> {
    let path = directory.file(MANIFEST);
    let file = directory.open(MANIFEST, Access::Read)?;
    let bytes = read_whole(&*file, MAX_MANIFEST_LEN + 1)
        .map_err(|error| Error::io("cannot read MANIFEST", &path, error))?;
    Manifest::decode(&bytes).map_err(|fault| {
        let identity = match fault {
            ManifestFault::NewerVersion(_) | ManifestFault::UnknownFeatures(_) => Identity::Newer,
            _ => Identity::Lost,
        };
        let row = judge(Findings { identity, ..SOUND });
        row.refuse("MANIFEST is not valid")
            .at_path(&path)
            .caused_by(fault)
    })
}

/// Refuses files of a log without `MANIFEST`.
pub(crate) fn manifest_missing(directory: &Directory) -> Error {
    let identity = Identity::Lost;
    judge(Findings { identity, ..SOUND })
        .refuse("it is not there, beside files of a log")
        .at_path(directory.path())
}

/// Reads `COOKIE`, if there is one. One that was cut is not taken for an older one.
pub(crate) fn read_cookie(directory: &Directory, uuid: &Uuid) -> Result<Option<Cookie>> {
    let path = directory.file(COOKIE);
    let fail = |what, error| Error::io(what, &path, error);
    let file = match directory.disk().open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail("cannot open COOKIE", error)),
    };
    let size = usize::try_from(COOKIE_SIZE).unwrap_or(0);
    let bytes = read_whole(&*file, size).map_err(|error| fail("cannot read COOKIE", error))?;
    if bytes.len() < size {
        let cookie = CookieState::WithoutHead;
        let row = judge(Findings { cookie, ..SOUND });
        let found = format!("it has {} bytes instead of {size}", bytes.len());
        return Err(row.refuse(found).at_path(&path));
    }
    Ok(Some(Cookie::decode(&bytes, uuid)))
}

/// All of a small file; what exceeds `limit` is not read.
pub(crate) fn read_whole(file: &dyn DiskFile, limit: usize) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?)
        .unwrap_or(usize::MAX)
        .min(limit);
    let mut bytes = vec![0; len];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// What the header of a segment's file says.
#[derive(Debug)]
pub(crate) enum Header {
    /// A segment of this log under its right name.
    Ours(Result<Activation, ActivationFault>),
    /// A file of this log whose header carries another id than its name.
    Misnamed(u32),
    /// A segment of another log.
    OtherLog(Uuid),
    /// A segment of this log whose file has another length than its segments have.
    WrongLength(u64),
    /// No valid header.
    Damaged(HeaderFault),
}

/// One segment's file. It is not kept open: a log may have more segments than a process may have descriptors.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) file: FileId,
    pub(crate) len: u64,
    pub(crate) header: Header,
}

impl Found {
    /// The activation, if the file is a segment that was activated.
    pub(crate) fn activation(&self) -> Option<&Activation> {
        match &self.header {
            Header::Ours(Ok(activation)) => Some(activation),
            _ => None,
        }
    }

    /// What keeps the file from being a segment with records, in words.
    pub(crate) fn fault(&self) -> String {
        match &self.header {
            Header::Ours(Ok(_)) => "it is not linked to its neighbours".to_owned(),
            Header::Ours(Err(fault)) => format!("its activation is not valid: {fault}"),
            Header::Misnamed(id) => format!("its header is that of segment {id}"),
            Header::OtherLog(uuid) => format!("it belongs to the log {uuid}"),
            Header::WrongLength(len) => format!("its file has {len} bytes"),
            Header::Damaged(fault) => format!("its header is not valid: {fault}"),
        }
    }
}

/// Reads the header of each segment's file.
pub(crate) fn read_headers(
    directory: &Directory,
    ids: &[u32],
    manifest: &Manifest,
) -> Result<BTreeMap<u32, Found>> {
    let read = |&id| Ok((id, read_header(directory, id, manifest)?));
    ids.iter().map(read).collect()
}

fn read_header(directory: &Directory, id: u32, manifest: &Manifest) -> Result<Found> {
    let file = directory.open(&segment_name(id), Access::Read)?;
    header_of(&*file, &directory.segment(id), id, manifest)
}

/// Reads the header of the open file that is, or was, named `path` for segment `id`.
pub(crate) fn header_of(
    file: &dyn DiskFile,
    path: &Path,
    id: u32,
    manifest: &Manifest,
) -> Result<Found> {
    let fail = |error| Error::io("cannot read the header of a segment", path, error).at_segment(id);
    let mut block = vec![0; 4096];
    let read = file.read_at(0, &mut block).map_err(fail)?;
    block.truncate(read);
    let (id_of_file, len) = (file.id().map_err(fail)?, file.len().map_err(fail)?);
    let header = match decode_prepared(&block) {
        Err(HeaderFault::NewerVersion(_) | HeaderFault::UnknownFeatures(_)) => {
            let identity = Identity::Newer;
            let row = judge(Findings { identity, ..SOUND });
            return Err(row
                .refuse("the header of a segment says so")
                .at_path(path)
                .at_segment(id));
        }
        Err(fault) => Header::Damaged(fault),
        Ok(prepared) => kind_of(id, len, &block, &prepared, manifest),
    };
    Ok(Found {
        file: id_of_file,
        len,
        header,
    })
}

fn kind_of(id: u32, len: u64, block: &[u8], prepared: &Prepared, manifest: &Manifest) -> Header {
    if prepared.uuid != manifest.uuid {
        return Header::OtherLog(prepared.uuid);
    }
    if prepared.segment != id {
        return Header::Misnamed(prepared.segment);
    }
    if prepared.size != manifest.segment_size || len != manifest.segment_size {
        return Header::WrongLength(len);
    }
    Header::Ours(decode_activation(block, prepared))
}
