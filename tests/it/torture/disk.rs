//! A small disk of memory for the object store, so that it can be full. Only root may make one.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Enough for the documents of an hour.
const SIZE: &str = "size=768m,mode=700";
const FILLER: &str = "filler";

/// A mounted disk; unmounted when dropped.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts a disk at `path`; `None`: not allowed here.
    pub fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "torture"]).arg(path).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { path: path.to_owned() }),
            _ => {
                println!("the disk of the object store is never full: this user may not mount one");
                None
            }
        }
    }

    /// Leaves no room for `how_long`.
    pub fn fill(&self, how_long: Duration) {
        let path = self.path.join(FILLER);
        let file = File::create(&path).unwrap();
        let (mut step, mut length) = (1_u64 << 29, 0);
        // Down to a page, which is the least that a file takes.
        while step >= 4096 {
            match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), length, step) {
                Ok(()) => length += step,
                Err(_full) => step /= 2,
            }
        }
        tokio::spawn(async move {
            tokio::time::sleep(how_long).await;
            drop(file);
            fs::remove_file(path).unwrap();
        });
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may still have a file open.
        let _ended_with_the_machine = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
