// Package paper is the tables and figures of the R-AMT paper (Zheng et al., ICCV 2023): which runs each needs, and how their results are
// laid out, with the paper's own figures beside them.
//
// [New] makes a table by its number for a [World]: the paper's data sets and backbone, or the synthetic world, where eleven drawn tasks
// stand in for the eleven data sets. [Table.Plan] is the list of its runs; two tables that need the same run name it by the same id, so that
// one folder of results serves all. [Table.Fill] puts what has come of them into a [Sheet], which is written as text, CSV, Markdown or
// LaTeX. A sheet names how settings and epochs were selected, what differs from the paper, and what is missing.
//
// What the paper printed lies in published/, one small CSV file a table, read by [Published].
package paper
