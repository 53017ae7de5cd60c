//! [`Line`]: one record, as JSON and text say it.

use segwal::OwnedRecord;
use serde::Serialize;

use crate::output;

/// One record, as JSON says it.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    lsn: String,
    index: u16,
    tag: u8,
    len: usize,
    durable: bool,
    #[serde(flatten)]
    payload: Option<Payload<'a>>,
}

/// Bytes, in the form that suits them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Payload<'a> {
    Text(&'a str),
    Hex(String),
}

/// Whether the bytes of a record are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Shown,
    Hidden,
}

impl<'a> Line<'a> {
    pub(crate) fn of(record: &'a OwnedRecord, data: Data) -> Self {
        Self {
            lsn: record.lsn().to_string(),
            index: record.index(),
            tag: record.tag(),
            len: record.payload().len(),
            durable: record.is_known_durable(),
            payload: (data == Data::Shown).then(|| Payload::of(record.payload())),
        }
    }

    /// One line for people.
    pub(crate) fn text(&self, payload: &[u8]) -> String {
        let place = format!("{}/{}", self.lsn, self.index);
        let durable = if self.durable { "durable" } else { "-" };
        let tag = self.tag;
        let line = format!("{place:<20} {durable:<7} tag {tag:<3} {:>8} B", self.len);
        if self.payload.is_none() {
            return line;
        }
        format!("{line}  {}", output::escaped(payload))
    }
}

impl<'a> Payload<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        str::from_utf8(bytes).map_or_else(|_| Self::Hex(output::hex(bytes)), Self::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_names_the_form_of_the_payload() {
        let json = |bytes| serde_json::to_string(&Payload::of(bytes)).unwrap();
        assert_eq!(json(b"a\"b\n"), r#"{"text":"a\"b\n"}"#);
        assert_eq!(json(b"\xff\0"), r#"{"hex":"ff00"}"#);
    }
}
