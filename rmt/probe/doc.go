// Package probe is classifiers on features, and training of the weights that make these.
//
// Functions from the features of a frozen encoder to a head:
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
//
// Learners of package train, of an encoder's own parameters:
//
//   - [TwoStage]: 2SFS (Farina et al., CVPR 2025), layer norms of both encoders first, then the classifier.
//   - [Finetune]: the whole image encoder, with the interpolation of WiSE-FT.
package probe
