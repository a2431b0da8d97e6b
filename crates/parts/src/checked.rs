//! Files whose every block is checked before a byte of it is handed out.
