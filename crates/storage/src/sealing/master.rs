//! The keys at the top of the hierarchy, and the text they are kept as.
//!
//! One key per line: `mk_1a2b3c4d`, one space, 32 bytes in base64. Lines that are empty or start with
//! `#` are skipped. The order is the keys' age, and the last one is current: it seals, the others
//! only open. Parsing is strict, and an error names the line but never quotes it.

use std::{fmt, str::FromStr};

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

use super::{Chance, KeyBytes, KeyId, SealingKey, draw_key};

/// The name of a master key, e.g. `mk_1a2b3c4d`. Random, not derived from the key: it is reported in
/// heartbeats and stored beside what the key wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterId(pub u32);

/// `mk_` and eight lower-case hexadecimal digits were expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a master key id is `mk_` and 8 lower-case hexadecimal digits")]
pub struct BadMasterId;

/// One master key. Wiped when dropped.
pub struct MasterKey {
    id: MasterId,
    // Boxed so that moving a key, or growing the list, leaves no copy behind that is not wiped.
    bytes: Box<KeyBytes>,
}

/// One or several master keys, oldest first; the last is current.
#[derive(Debug)]
pub struct MasterKeys {
    keys: Vec<MasterKey>,
}

/// Why a text is no list of master keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// One line is wrong.
    #[error("line {line}: {fault}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// Nothing but comments.
    #[error("holds no key")]
    NoKey,
}

/// What is wrong with a line of the key file. Never says what the line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Not `id key`.
    #[error(
        "expected `mk_` and 8 lower-case hexadecimal digits, one space, and nothing but the key"
    )]
    Form,
    /// The second half is no key.
    #[error("the key must be 32 bytes in base64, which is 44 characters")]
    Key,
    /// Two lines have the same id.
    #[error("an earlier line has the same id")]
    IdTaken,
    /// Two lines have the same key: that would be a rotation which rotates nothing.
    #[error("an earlier line has the same key")]
    KeyTaken,
}

impl MasterKeys {
    /// Draws the first key.
    pub fn generate(chance: Chance<'_>) -> MasterKeys {
        MasterKeys { keys: vec![MasterKey::generate(chance)] }
    }

    /// Reads the text of a key file.
    pub fn parse(text: &[u8]) -> Result<MasterKeys, ParseError> {
        let mut keys: Vec<MasterKey> = Vec::new();
        for (line, text) in (1..).zip(text.split(|&byte| byte == b'\n')) {
            if text.is_empty() || text.starts_with(b"#") {
                continue;
            }
            let key = MasterKey::parse(text).map_err(|fault| ParseError::Line { line, fault })?;
            for earlier in &keys {
                if earlier.id == key.id {
                    return Err(ParseError::Line { line, fault: LineFault::IdTaken });
                }
                if earlier.bytes == key.bytes {
                    return Err(ParseError::Line { line, fault: LineFault::KeyTaken });
                }
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(ParseError::NoKey) } else { Ok(MasterKeys { keys }) }
    }

    /// The key that seals.
    pub fn current(&self) -> &MasterKey {
        self.keys.last().expect("never built empty")
    }

    /// The key of this name, if it is held here.
    pub fn get(&self, id: MasterId) -> Option<&MasterKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// All keys, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &MasterKey> {
        self.keys.iter()
    }
}

impl MasterKey {
    /// Draws a key and its id.
    pub fn generate(chance: Chance<'_>) -> MasterKey {
        let mut id = [0; 4];
        chance(&mut id);
        MasterKey { id: MasterId(u32::from_be_bytes(id)), bytes: Box::new(draw_key(chance)) }
    }

    /// Its name.
    pub fn id(&self) -> MasterId {
        self.id
    }

    /// A value that tells this key from any other and gives nothing of it away. Stored in the
    /// database, compared at each start: a key file that was swapped or mistyped is noticed before
    /// anything is sealed under it.
    pub fn check_value(&self) -> [u8; 16] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes[..]);
        let tag = hmac::sign(&key, b"abide master key check 1");
        *tag.as_ref().first_chunk().expect("SHA-256 has 32 bytes")
    }

    pub(super) fn sealing_key(&self) -> SealingKey {
        SealingKey::new(KeyId(self.id.0.into()), &self.bytes)
    }

    /// The key's line, with its line break.
    pub(super) fn to_line(&self) -> Zeroizing<String> {
        // Filled in place and sized beforehand: a buffer that grows leaves copies behind.
        let mut key = Zeroizing::new([0; 44]);
        BASE64_STANDARD.encode_slice(&self.bytes[..], &mut key[..]).expect("32 bytes make 44");
        let mut line = Zeroizing::new(String::with_capacity(64));
        line.push_str(&self.id.to_string());
        line.push(' ');
        line.push_str(str::from_utf8(&key[..]).expect("base64 is ASCII"));
        line.push('\n');
        line
    }

    fn parse(line: &[u8]) -> Result<MasterKey, LineFault> {
        let line = str::from_utf8(line).map_err(|_| LineFault::Form)?;
        let (id, key) = line.split_once(' ').ok_or(LineFault::Form)?;
        let id = id.parse().map_err(|_| LineFault::Form)?;
        if key.contains(char::is_whitespace) {
            return Err(LineFault::Form);
        }
        let mut decoded = Zeroizing::new([0; 33]);
        match BASE64_STANDARD.decode_slice(key, &mut decoded[..]) {
            Ok(32) => {}
            Ok(_) | Err(_) => return Err(LineFault::Key),
        }
        let mut bytes = Box::new(Zeroizing::new([0; 32]));
        bytes.copy_from_slice(&decoded[..32]);
        Ok(MasterKey { id, bytes })
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Display for MasterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mk_{:08x}", self.0)
    }
}

impl FromStr for MasterId {
    type Err = BadMasterId;

    fn from_str(text: &str) -> Result<MasterId, BadMasterId> {
        let digits = text.strip_prefix("mk_").ok_or(BadMasterId)?;
        if digits.len() != 8 || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(BadMasterId);
        }
        u32::from_str_radix(digits, 16).map(MasterId).map_err(|_| BadMasterId)
    }
}

#[cfg(test)]
mod tests;
