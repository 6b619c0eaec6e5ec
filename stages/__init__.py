"""One thin file per DVC stage: settings and folders in, a library call, metrics out."""
