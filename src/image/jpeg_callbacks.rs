//! What libjpeg calls back: errors, and what it would go on after, of which some is no error and some is.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int};
use std::mem::transmute;
use std::ops::Range;
use std::panic::resume_unwind;
use std::slice;

use mozjpeg_sys::{self as ffi, jpeg_common_struct};

/// A file with more scans is an attack on the reader's time.
const MAX_SCANS: c_int = 500;

/// The longest message of libjpeg.
const MAX_MESSAGE: usize = 200;

/// What the callbacks know of the file; libjpeg hands it to them.
pub(super) struct Notes {
    bytes: Range<*const u8>,
    /// Whether the pixels are coded arithmetically: such a decoder reads zeros after the last byte, without a word.
    pub(super) is_arithmetic: bool,
    /// Whether the file ended before its end marker.
    pub(super) has_ended: bool,
    /// The bytes that may be left over before a marker; any number before the first scan.
    pub(super) junk: Option<usize>,
}

impl Notes {
    pub(super) fn new(bytes: &[u8], is_arithmetic: bool) -> Self {
        Self { bytes: bytes.as_ptr_range(), is_arithmetic, has_ended: false, junk: None }
    }
}

/// Why libjpeg was left: what a callback unwound with.
pub(super) fn reason(stop: Box<dyn Any + Send>) -> String {
    stop.downcast().map_or_else(|panic| resume_unwind(panic), |reason| *reason)
}

pub(super) fn ends_early() -> String {
    "not a whole JPEG image: its data end early".into()
}

pub(super) fn misread() -> String {
    "damaged: a code in this JPEG image was misread, and a part of the data is left over".into()
}

/// Whether bytes that were left over are more than junk: a decoder that loses its place leaves a part of the code.
pub(super) fn is_code(bytes: &[u8], allowed: usize) -> bool {
    bytes.len() > allowed && bytes.iter().any(|&byte| byte != bytes[0])
}

/// Leaves libjpeg after an error.
pub(super) unsafe extern "C-unwind" fn stop(state: &mut jpeg_common_struct) {
    // SAFETY: the library hands back the notes that it was given.
    let has_ended = unsafe { (*state.client_data.cast::<Notes>()).has_ended };
    let reason =
        if has_ended { ends_early() } else { format!("no JPEG image to decode: {}", message(state)) };
    resume_unwind(Box::new(reason))
}

/// Leaves libjpeg after what it would go on after, if pixels are lacking or made up.
pub(super) unsafe extern "C-unwind" fn judge(state: &mut jpeg_common_struct, level: c_int) {
    const WARNING: c_int = -1;
    if level != WARNING {
        return;
    }
    // SAFETY: the library hands back the notes that it was given, and holds a code and numbers of its message.
    let (code, numbers, notes) = unsafe {
        let errors = &mut *state.err;
        (errors.msg_code, *errors.msg_parm.i(), &mut *state.client_data.cast::<Notes>())
    };
    let reason = match code {
        ffi::JWRN_HIT_MARKER => ends_early(),
        ffi::JWRN_JPEG_EOF => {
            notes.has_ended = true;
            if !notes.is_arithmetic {
                return;
            }
            ends_early()
        }
        ffi::JWRN_EXTRANEOUS_DATA => {
            let is_restart = (0xd0..=0xd7).contains(&numbers[1]);
            if !is_restart && !lost_its_place(state, notes, numbers[0] as usize) {
                return;
            }
            misread()
        }
        ffi::JWRN_ADOBE_XFORM | ffi::JWRN_JFIF_MAJOR | ffi::JWRN_NOT_SEQUENTIAL => return,
        _ => format!("damaged JPEG image: {}", message(state)),
    };
    resume_unwind(Box::new(reason))
}

/// Whether the bytes that the library skipped, up to where it reads now, are a part of a scan's code.
fn lost_its_place(state: &mut jpeg_common_struct, notes: &Notes, skipped: usize) -> bool {
    let Some(allowed) = notes.junk else { return false };
    // SAFETY: decompressors only warn of bytes, and the source belongs to this one.
    let at = unsafe { (*(*(&raw mut *state).cast::<ffi::jpeg_decompress_struct>()).src).next_input_byte };
    let read = (at as usize).wrapping_sub(notes.bytes.start as usize);
    let len = notes.bytes.end as usize - notes.bytes.start as usize;
    if read > len || skipped > read {
        // The library has read all, and made up an end marker.
        return skipped > allowed;
    }
    // SAFETY: the range lies in the file's bytes, which the decompressor borrows.
    is_code(unsafe { slice::from_raw_parts(notes.bytes.start.add(read - skipped), skipped) }, allowed)
}

/// Leaves libjpeg in a file with too many scans.
pub(super) unsafe extern "C-unwind" fn limit_scans(state: &mut jpeg_common_struct) {
    // SAFETY: the library calls it for the first field of a decompressor.
    let scans = unsafe { (*(&raw mut *state).cast::<ffi::jpeg_decompress_struct>()).input_scan_number };
    if scans > MAX_SCANS {
        resume_unwind(Box::new(format!("a JPEG image of more than {MAX_SCANS} scans")))
    }
}

/// The library's last message.
fn message(state: &mut jpeg_common_struct) -> String {
    type Format = unsafe extern "C-unwind" fn(*mut jpeg_common_struct, *mut c_char);
    type Declared = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &[u8; 80]);
    let mut text = [0; MAX_MESSAGE + 1];
    // SAFETY: the function is the library's own, and `Format` its type in C; it ends the text by a zero.
    unsafe {
        if let Some(format) = (*state.err).format_message {
            transmute::<Declared, Format>(format)(state, text.as_mut_ptr());
        }
        CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
    }
}
