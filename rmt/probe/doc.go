// Package probe finds linear classifiers on the features of a frozen image encoder: functions from features to a head.
//
//   - [SearchC]: logistic regression whose strength of regularisation is chosen on validation images, CLIP's linear probe by the
//     protocol of CoOp (lpclip), with scikit-learn's objective and stopping rule.
//   - [FitLPP]: LP++ (Huang et al., CVPR 2024), a linear probe that blends text in, with step sizes from Lipschitz constants.
//   - [FitGDA]: Gaussian discriminant analysis beside the text classifier (Wang et al., "A hard-to-beat baseline", ICLR 2024),
//     and [FitGDANew] for classes that no training image shows.
//
// None of them runs the encoder. Their features are those of [Features], as the encoder gives them; what wants unit length
// divides by it itself. All products run on the features' device, sums that decide (covariances' inverses, objectives, counts) on
// the host in float64.
package probe
