package disk

const childEnv = "MAGNETFS_DISK_TEST_CHILD"

func child() {}
