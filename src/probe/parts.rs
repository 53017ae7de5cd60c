//! The structures of one part each: segment header, `MANIFEST`, `COOKIE`, the file of a hold.

use std::ffi::OsStr;
use std::path::Path;

use super::{Reached, name, turned};
use crate::format::{
    Cookie, FIRST_FRAME, HoldSlot, Manifest, Prepared, Slot, SlotKind, Uuid, decode_activation,
    decode_prepared, encode_block, hold_slot_offset, is_hold_name, is_segment_size,
};
use crate::format::{cookie::decode_slot, cookie::slot_offset, manifest::version};
use crate::lsn::Lsn;
use crate::segment::{Name, hold_name};

/// The first block of a segment's file. `choice` chooses a bit that is turned over.
///
/// # Panics
/// * If what was decoded does not encode to the same bytes.
/// * If a seal, an epoch, a bound or a rewind leads to where none can be.
/// * If an activation passes beside the prepared part of another segment, or either part with a bit turned over.
pub fn header(bytes: &[u8], choice: u16) -> Reached {
    let prepared = match decode_prepared(bytes) {
        Ok(prepared) => prepared,
        Err(fault) => return Reached::from([name(&fault)]),
    };
    assert_eq!(prepared.encode()[..], bytes[..64], "prepared part");
    assert!(prepared.segment > 0 && is_segment_size(prepared.size));
    assert!(decode_prepared(&turned(&bytes[..64], choice)).is_err());
    assert_eq!(decode_prepared(&encode_block(&prepared)), Ok(prepared));
    let activation = match decode_activation(bytes, &prepared) {
        Ok(activation) => activation,
        Err(fault) => return Reached::from(["Prepared".to_owned(), format!("A:{}", name(&fault))]),
    };
    assert_eq!(
        activation.encode(&prepared)[..],
        bytes[512..576],
        "activation part"
    );
    assert_eq!(activation.segment, prepared.segment);
    let other = Prepared {
        segment: prepared.segment ^ 1 << (choice % 32),
        ..prepared
    };
    assert!(
        decode_activation(bytes, &other).is_err(),
        "beside another part"
    );
    let mut damaged = bytes[..576].to_vec();
    damaged.splice(512.., turned(&bytes[512..576], choice));
    assert!(decode_activation(&damaged, &prepared).is_err());
    let mut reached = Reached::from(["Activation".to_owned()]);
    if let Some(end) = activation.previous {
        assert!((FIRST_FRAME..=prepared.size).contains(&end.seal) && prepared.segment > 1);
        let is_before = |epoch| FIRST_FRAME <= epoch && epoch + 64 <= end.seal;
        assert!(end.last_epoch.is_none_or(is_before));
        reached.insert(format!(
            "Link{}",
            if end.last_epoch.is_some() {
                "+Epoch"
            } else {
                ""
            }
        ));
    }
    assert!(activation.durable <= Lsn::new(prepared.segment, FIRST_FRAME));
    if let Some(rewind) = activation.last_rewind {
        assert!(rewind.segment() < prepared.segment && rewind.offset() >= FIRST_FRAME);
        reached.insert("Rewind".to_owned());
    }
    reached
}

/// The file `MANIFEST`. `choice` chooses a bit that is turned over.
///
/// # Panics
/// If what was decoded does not encode to the same bytes, or passes with a bit turned over, or with a byte more or less.
pub fn manifest(bytes: &[u8], choice: u16) -> Reached {
    let manifest = match Manifest::decode(bytes) {
        Ok(manifest) => manifest,
        Err(fault) => return Reached::from([name(&fault)]),
    };
    let encoded = manifest.encode().expect("its user header was short enough");
    assert_eq!(encoded, bytes, "a manifest is all of its file");
    assert_eq!(version(bytes), Some(0));
    assert!(is_segment_size(manifest.segment_size));
    assert!(Manifest::decode(&turned(bytes, choice)).is_err());
    assert!(Manifest::decode(&bytes[..bytes.len() - 1]).is_err());
    assert!(Manifest::decode(&[bytes, &[0]].concat()).is_err());
    let mut reached = Reached::from(["Manifest".to_owned()]);
    if !manifest.user_header.is_empty() {
        reached.insert("UserHeader".to_owned());
    }
    if manifest.read_only_features() != 0 {
        reached.insert("ReadOnly".to_owned());
    }
    reached
}

/// The file `COOKIE` of the log with this UUID. `choice` chooses a bit that is turned over.
///
/// # Panics
/// * If a slot that counts does not encode to the bytes where it belongs, is not the newest valid one of its kind, or is
///   of another log.
/// * If it is still believed with a bit turned over.
/// * If the statements, written down anew, are others.
pub fn cookie(bytes: &[u8], uuid: [u8; 16], choice: u16) -> Reached {
    let uuid = Uuid::from_bytes(uuid);
    let cookie = Cookie::decode(bytes, &uuid);
    assert_eq!(cookie.head.is_some(), cookie.head_fault.is_none());
    let mut reached = Reached::new();
    reached.extend(cookie.head_fault.as_ref().map(name));
    let kinds = [
        (SlotKind::Durable, cookie.durable),
        (SlotKind::Head, cookie.head),
        (SlotKind::Clean, cookie.clean),
    ];
    for (kind, newest) in kinds {
        let slots = [0, 1].map(|turn| decode_slot(bytes, kind, turn, &uuid));
        let valid = slots.iter().filter_map(|slot| slot.as_ref().ok());
        let greatest = valid.map(|slot| slot.generation).max();
        assert_eq!(newest.map(|slot| slot.generation), greatest, "{kind:?}");
        if let Some(slot) = newest {
            check_slot(bytes, kind, &slot, &uuid, choice);
            reached.insert(name(&kind));
        }
    }
    let again = Cookie::decode(&cookie.encode(), &uuid);
    let said = |cookie: &Cookie| (cookie.durable, cookie.head, cookie.clean);
    assert_eq!(said(&again), said(&cookie), "written down anew");
    reached
}

fn check_slot(bytes: &[u8], kind: SlotKind, slot: &Slot, uuid: &Uuid, choice: u16) {
    let at = usize::try_from(slot_offset(kind, slot.generation)).expect("in the file");
    assert_eq!(slot.encode(kind)[..], bytes[at..at + 64], "{kind:?}");
    assert!(slot.uuid == *uuid && slot.lsn.offset() >= FIRST_FRAME);
    let mut damaged = bytes.to_vec();
    damaged.splice(at..at + 64, turned(&bytes[at..at + 64], choice));
    let left = decode_slot(&damaged, kind, slot.generation, uuid);
    assert!(left.is_err(), "{kind:?} with a bit turned over");
}

/// The file of the hold `hold` of the log with this UUID. `choice` chooses a bit that is turned over.
///
/// # Panics
/// * If the name may stand in a file's name and leads elsewhere, or is read back otherwise.
/// * If the slot that counts does not encode to the bytes where it belongs, is of another log, or passes under another name or with a bit turned over.
pub fn hold(bytes: &[u8], hold: &str, uuid: [u8; 16], choice: u16) -> Reached {
    let mut reached = Reached::new();
    let file = hold_name(hold);
    let is_name = is_hold_name(hold);
    let parsed = Name::parse(OsStr::new(&file));
    assert_eq!(parsed == Name::Hold(hold.to_owned()), is_name, "{file:?}");
    if is_name {
        let within = Path::new("/log").join(&file);
        assert_eq!(within.parent(), Some(Path::new("/log")), "{file:?}");
        assert_eq!(within.file_name(), Some(OsStr::new(&file)));
        reached.insert("Name".to_owned());
    }
    let uuid = Uuid::from_bytes(uuid);
    let slot = match HoldSlot::decode(bytes, hold, &uuid) {
        Ok(slot) => slot,
        Err(fault) => {
            reached.insert(name(&fault));
            return reached;
        }
    };
    let at = usize::try_from(hold_slot_offset(slot.generation)).expect("in the file");
    assert_eq!(slot.encode(hold)[..], bytes[at..at + 64], "the newest slot");
    assert!(slot.uuid == uuid && slot.lsn.offset() >= FIRST_FRAME);
    // Alone, so that the other slot cannot stand in for it.
    let mut alone = vec![0; bytes.len()];
    alone[at..at + 64].copy_from_slice(&bytes[at..at + 64]);
    assert_eq!(HoldSlot::decode(&alone, hold, &uuid), Ok(slot));
    assert!(HoldSlot::decode(&alone, &format!("{hold}x"), &uuid).is_err());
    alone.splice(at..at + 64, turned(&bytes[at..at + 64], choice));
    assert!(HoldSlot::decode(&alone, hold, &uuid).is_err());
    reached.insert("Hold".to_owned());
    reached
}
