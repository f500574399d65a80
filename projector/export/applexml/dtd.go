package applexml

// documentType declares what an export consists of: the elements of Apple's document type
// 14 (spec/healthkit.md, section 9.2) and one of our own. The comment about the version is
// what readers look for.
const documentType = `<!DOCTYPE HealthData [
<!-- HealthKit Export Version: 14 -->
<!ELEMENT HealthData (ExportDate, Me?, (Record | Correlation | Workout | WorkoutRoute | ActivitySummary | ClinicalRecord | Audiogram | VisionPrescription | HealthledgerSample)*)>
<!ATTLIST HealthData locale CDATA #REQUIRED>
<!ELEMENT ExportDate EMPTY>
<!ATTLIST ExportDate value CDATA #REQUIRED>
<!ELEMENT Me EMPTY>
<!ATTLIST Me
  HKCharacteristicTypeIdentifierDateOfBirth CDATA #IMPLIED
  HKCharacteristicTypeIdentifierBiologicalSex CDATA #IMPLIED
  HKCharacteristicTypeIdentifierBloodType CDATA #IMPLIED
  HKCharacteristicTypeIdentifierFitzpatrickSkinType CDATA #IMPLIED
  HKCharacteristicTypeIdentifierWheelchairUse CDATA #IMPLIED
  HKCharacteristicTypeIdentifierActivityMoveMode CDATA #IMPLIED
  HKCharacteristicTypeIdentifierCardioFitnessMedicationsUse CDATA #IMPLIED>
<!ELEMENT Record (MetadataEntry | HeartRateVariabilityMetadataList)*>
<!ATTLIST Record
  type CDATA #REQUIRED
  sourceName CDATA #IMPLIED
  sourceVersion CDATA #IMPLIED
  device CDATA #IMPLIED
  unit CDATA #IMPLIED
  creationDate CDATA #IMPLIED
  startDate CDATA #REQUIRED
  endDate CDATA #REQUIRED
  value CDATA #IMPLIED>
<!ELEMENT MetadataEntry EMPTY>
<!ATTLIST MetadataEntry key CDATA #REQUIRED value CDATA #REQUIRED>
<!ELEMENT HeartRateVariabilityMetadataList (InstantaneousBeatsPerMinute*)>
<!ELEMENT InstantaneousBeatsPerMinute EMPTY>
<!ATTLIST InstantaneousBeatsPerMinute bpm CDATA #REQUIRED time CDATA #REQUIRED>
<!ELEMENT Correlation (MetadataEntry | Record)*>
<!ATTLIST Correlation
  type CDATA #REQUIRED
  sourceName CDATA #IMPLIED
  sourceVersion CDATA #IMPLIED
  device CDATA #IMPLIED
  creationDate CDATA #IMPLIED
  startDate CDATA #REQUIRED
  endDate CDATA #REQUIRED>
<!ELEMENT Workout (MetadataEntry | WorkoutEvent | WorkoutActivity | WorkoutStatistics | Record | WorkoutRoute)*>
<!ATTLIST Workout
  workoutActivityType CDATA #REQUIRED
  duration CDATA #IMPLIED
  durationUnit CDATA #IMPLIED
  totalDistance CDATA #IMPLIED
  totalDistanceUnit CDATA #IMPLIED
  totalEnergyBurned CDATA #IMPLIED
  totalEnergyBurnedUnit CDATA #IMPLIED
  totalSwimmingStrokeCount CDATA #IMPLIED
  totalSwimmingStrokeCountUnit CDATA #IMPLIED
  totalFlightsClimbed CDATA #IMPLIED
  totalFlightsClimbedUnit CDATA #IMPLIED
  sourceName CDATA #IMPLIED
  sourceVersion CDATA #IMPLIED
  device CDATA #IMPLIED
  creationDate CDATA #IMPLIED
  startDate CDATA #REQUIRED
  endDate CDATA #REQUIRED>
<!ELEMENT WorkoutEvent (MetadataEntry)*>
<!ATTLIST WorkoutEvent
  type CDATA #REQUIRED
  date CDATA #REQUIRED
  duration CDATA #IMPLIED
  durationUnit CDATA #IMPLIED>
<!ELEMENT WorkoutActivity (MetadataEntry | WorkoutEvent | WorkoutStatistics)*>
<!ATTLIST WorkoutActivity
  uuid CDATA #IMPLIED
  workoutActivityType CDATA #IMPLIED
  startDate CDATA #REQUIRED
  endDate CDATA #IMPLIED
  duration CDATA #IMPLIED
  durationUnit CDATA #IMPLIED>
<!ELEMENT WorkoutStatistics EMPTY>
<!ATTLIST WorkoutStatistics
  type CDATA #REQUIRED
  startDate CDATA #IMPLIED
  endDate CDATA #IMPLIED
  average CDATA #IMPLIED
  minimum CDATA #IMPLIED
  maximum CDATA #IMPLIED
  sum CDATA #IMPLIED
  unit CDATA #IMPLIED>
<!ELEMENT WorkoutRoute (MetadataEntry | FileReference | Location)*>
<!ATTLIST WorkoutRoute
  sourceName CDATA #IMPLIED
  sourceVersion CDATA #IMPLIED
  device CDATA #IMPLIED
  creationDate CDATA #IMPLIED
  startDate CDATA #REQUIRED
  endDate CDATA #REQUIRED>
<!ELEMENT FileReference EMPTY>
<!ATTLIST FileReference path CDATA #REQUIRED>
<!ELEMENT Location EMPTY>
<!ATTLIST Location
  date CDATA #REQUIRED
  latitude CDATA #REQUIRED
  longitude CDATA #REQUIRED
  altitude CDATA #IMPLIED
  speed CDATA #IMPLIED
  course CDATA #IMPLIED
  horizontalAccuracy CDATA #IMPLIED
  verticalAccuracy CDATA #IMPLIED>
<!ELEMENT ActivitySummary EMPTY>
<!ATTLIST ActivitySummary
  dateComponents CDATA #IMPLIED
  activeEnergyBurned CDATA #IMPLIED
  activeEnergyBurnedGoal CDATA #IMPLIED
  activeEnergyBurnedUnit CDATA #IMPLIED
  appleMoveTime CDATA #IMPLIED
  appleMoveTimeGoal CDATA #IMPLIED
  appleExerciseTime CDATA #IMPLIED
  appleExerciseTimeGoal CDATA #IMPLIED
  appleStandHours CDATA #IMPLIED
  appleStandHoursGoal CDATA #IMPLIED>
<!ELEMENT ClinicalRecord (MetadataEntry)*>
<!ATTLIST ClinicalRecord
  type CDATA #REQUIRED
  identifier CDATA #REQUIRED
  sourceName CDATA #IMPLIED
  sourceVersion CDATA #IMPLIED
  device CDATA #IMPLIED
  sourceURL CDATA #IMPLIED
  fhirVersion CDATA #IMPLIED
  receivedDate CDATA #REQUIRED
  displayName CDATA #IMPLIED
  resourceFilePath CDATA #IMPLIED>
<!ELEMENT Audiogram (MetadataEntry | SensitivityPoint)*>
<!ATTLIST Audiogram
  type CDATA #REQUIRED
  sourceName CDATA #IMPLIED
  sourceVersion CDATA #IMPLIED
  device CDATA #IMPLIED
  creationDate CDATA #IMPLIED
  startDate CDATA #REQUIRED
  endDate CDATA #REQUIRED>
<!ELEMENT SensitivityPoint EMPTY>
<!ATTLIST SensitivityPoint
  frequencyValue CDATA #REQUIRED
  frequencyUnit CDATA #REQUIRED
  leftEarValue CDATA #IMPLIED
  leftEarUnit CDATA #IMPLIED
  leftEarMasked CDATA #IMPLIED
  leftEarClampingRangeLowerBound CDATA #IMPLIED
  leftEarClampingRangeUpperBound CDATA #IMPLIED
  rightEarValue CDATA #IMPLIED
  rightEarUnit CDATA #IMPLIED
  rightEarMasked CDATA #IMPLIED
  rightEarClampingRangeLowerBound CDATA #IMPLIED
  rightEarClampingRangeUpperBound CDATA #IMPLIED>
<!ELEMENT VisionPrescription (RightEye | LeftEye | Attachment | MetadataEntry)*>
<!ATTLIST VisionPrescription
  type CDATA #REQUIRED
  dateIssued CDATA #REQUIRED
  expirationDate CDATA #IMPLIED
  brand CDATA #IMPLIED
  sourceName CDATA #IMPLIED
  sourceVersion CDATA #IMPLIED
  device CDATA #IMPLIED
  creationDate CDATA #IMPLIED>
<!ELEMENT RightEye EMPTY>
<!ATTLIST RightEye
  sphere CDATA #IMPLIED
  sphereUnit CDATA #IMPLIED
  cylinder CDATA #IMPLIED
  cylinderUnit CDATA #IMPLIED
  axis CDATA #IMPLIED
  axisUnit CDATA #IMPLIED
  add CDATA #IMPLIED
  addUnit CDATA #IMPLIED
  vertex CDATA #IMPLIED
  vertexUnit CDATA #IMPLIED
  prismAmount CDATA #IMPLIED
  prismAmountUnit CDATA #IMPLIED
  prismAngle CDATA #IMPLIED
  prismAngleUnit CDATA #IMPLIED
  farPD CDATA #IMPLIED
  farPDUnit CDATA #IMPLIED
  nearPD CDATA #IMPLIED
  nearPDUnit CDATA #IMPLIED
  baseCurve CDATA #IMPLIED
  baseCurveUnit CDATA #IMPLIED
  diameter CDATA #IMPLIED
  diameterUnit CDATA #IMPLIED>
<!ELEMENT LeftEye EMPTY>
<!ATTLIST LeftEye
  sphere CDATA #IMPLIED
  sphereUnit CDATA #IMPLIED
  cylinder CDATA #IMPLIED
  cylinderUnit CDATA #IMPLIED
  axis CDATA #IMPLIED
  axisUnit CDATA #IMPLIED
  add CDATA #IMPLIED
  addUnit CDATA #IMPLIED
  vertex CDATA #IMPLIED
  vertexUnit CDATA #IMPLIED
  prismAmount CDATA #IMPLIED
  prismAmountUnit CDATA #IMPLIED
  prismAngle CDATA #IMPLIED
  prismAngleUnit CDATA #IMPLIED
  farPD CDATA #IMPLIED
  farPDUnit CDATA #IMPLIED
  nearPD CDATA #IMPLIED
  nearPDUnit CDATA #IMPLIED
  baseCurve CDATA #IMPLIED
  baseCurveUnit CDATA #IMPLIED
  diameter CDATA #IMPLIED
  diameterUnit CDATA #IMPLIED>
<!ELEMENT Attachment EMPTY>
<!ATTLIST Attachment identifier CDATA #IMPLIED>
<!-- What has no element in the exports of a phone: an object in healthledger's own words. -->
<!ELEMENT HealthledgerSample (#PCDATA)>
<!ATTLIST HealthledgerSample type CDATA #REQUIRED>
]>
`
