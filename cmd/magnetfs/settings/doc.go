// Package settings finds the value of every flag: what the command line says, else
// the environment, else the configuration file, else the default.
//
// There is no list of settings but the flags themselves: the key in the file is the
// name of the flag ("cache-dir"), the variable is MAGNETFS_ and the name in capitals
// ("MAGNETFS_CACHE_DIR"). A new flag is a setting at once. The file is TOML; a section
// [mounts."/path"] holds for the mount on that folder only, and goes before what is
// outside of it. What is in the file must be known and right, whichever mount it is
// for: a typing error that is passed over is found weeks later.
//
// koanf, which does the same for larger needs, does not tell where a value came
// from; the parser that it wraps is used alone.
package settings
