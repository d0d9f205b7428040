// Package parquet reads columns of Parquet files: as much of the format as tables of images and labels need, strictly.
//
// It is small because it refuses what it does not know by name: repeated columns, encodings other than PLAIN and dictionaries,
// compression other than Snappy and gzip, encryption. Libraries for the whole format bring half a dozen modules, as much machine
// code as all the rest of this program, and trust in sizes that a file states; here no size is allocated before the file has shown
// that it holds as much.
//
// The format: https://parquet.apache.org/docs/file-format/ and parquet.thrift; numbers of fields and of enumerations below are
// those of parquet.thrift.
package parquet
