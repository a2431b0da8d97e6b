//! Parts as a whole: what was written is what is read, whatever happens to the files.

mod crash;
mod damage;
mod erasing;
mod golden;
mod history;
mod reading;
mod writing;
